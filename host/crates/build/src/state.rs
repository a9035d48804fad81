//! The image as it stands between two steps.

use kiln_image::{History, ImageConfig, View};
use kiln_store::{Image, Store};
use kiln_types::{Digest, Hasher, Platform};

use crate::plan::Shown;
use crate::record::LayerResult;

/// Where programs are looked for when no image says otherwise, as Docker has it.
pub(crate) const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// 1980-01-01T00:00:00Z: the wall clock of WASI steps, and the time of directories that no source brings along.
pub(crate) const KILN_CLOCK: i64 = 315_532_800;

/// Layers and configuration after some steps.
#[derive(Debug, Clone)]
pub(crate) struct State {
    pub(crate) config: ImageConfig,
    /// What steps work on. The image's own layers may be other ones, of the same content with other times.
    pub(crate) layers: Vec<Digest>,
    /// What the layers hold, without times: the `parent` of keys.
    pub(crate) content: Digest,
    /// The image that this is; `None` before the first step after `FROM scratch`.
    pub(crate) image: Option<Digest>,
    /// The number of the first step that is new or has another result than before; only where steps are explained.
    pub(crate) disturbed: Option<Option<usize>>,
}

impl State {
    pub(crate) fn scratch(platform: &Platform) -> Self {
        let mut config = ImageConfig::default();
        config.os.clone_from(&platform.os);
        config.architecture.clone_from(&platform.architecture);
        config.variant.clone_from(&platform.variant);
        Self { config, layers: Vec::new(), content: Digest::of(""), image: None, disturbed: None }
    }

    pub(crate) fn of_image(image: &Image, store: &Store) -> Result<Self, kiln_store::Error> {
        let layers = image.config.rootfs.diff_ids.clone();
        let content = layers.iter().try_fold(Digest::of(""), |below, diff_id| {
            Ok::<_, kiln_store::Error>(on_top(below, store.layer_content(diff_id)?))
        })?;
        Ok(Self { config: image.config.clone(), layers, content, image: Some(image.id), disturbed: None })
    }

    /// What every FROM does to the configuration it begins with.
    pub(crate) fn settle(config: &mut ImageConfig) {
        let env = config.config.env.get_or_insert_default();
        if !env.iter().any(|line| line.starts_with("PATH=")) {
            env.push(format!("PATH={DEFAULT_PATH}"));
        }
        let platform = config.platform();
        if platform.is_wasi() {
            // Whatever the base image calls it.
            (config.os, config.architecture, config.variant) = (platform.os, platform.architecture, platform.variant);
        }
    }

    /// The root filesystem.
    pub(crate) fn view(&self, store: &Store) -> Result<View, kiln_store::Error> {
        Ok(View::new(self.layers.iter().map(|diff_id| store.layer(diff_id)).collect::<Result<_, _>>()?))
    }

    /// Remembers the first step that disturbs those after it.
    pub(crate) fn note_disturbed(&mut self, step: &Shown, disturbs: bool) {
        if disturbs {
            self.disturbed.get_or_insert(step.number);
        }
    }

    /// Adds a step's result: its layer, if it has one, as it was made and as the image has it, and its line of history.
    pub(crate) fn push(&mut self, layer: Option<(LayerResult, LayerResult)>, mut history: History) {
        history.empty_layer = layer.is_none();
        self.config.history.push(history);
        if let Some((made, published)) = layer {
            self.layers.push(made.diff_id);
            self.config.rootfs.diff_ids.push(published.diff_id);
            self.content = on_top(self.content, made.content);
        }
    }
}

/// The content of a stack of layers with one more on top.
pub(crate) fn on_top(below: Digest, layer: Digest) -> Digest {
    let mut hasher = Hasher::new();
    hasher.field(below.as_bytes());
    hasher.field(layer.as_bytes());
    hasher.finish()
}
