//! Mirrors: asked in order, the origin last. The registry `docker.io` and others are played by registries of loopback
//! behind a proxy that takes their hosts there.

use crate::certificates::Authority;
use crate::http_proxy::HttpProxy;
use crate::layout::Layout;
use crate::registry::{Options, Registry};
use crate::user::{User, noise};
use crate::{is_possible, plain, with};

/// Where images named without a registry come from.
const HUB: &str = "registry-1.docker.io";

/// The origin of docker.io's images and of registry.example's.
struct World {
    authority: Authority,
    origin: Registry,
    proxy: HttpProxy,
}

impl World {
    fn new() -> Option<Self> {
        if !is_possible() {
            return None;
        }
        let authority = Authority::new();
        let tls = Some(authority.issue(&["DNS:registry-1.docker.io", "DNS:registry.example"]));
        let origin = with(&Options { tls, ..Options::default() })?;
        let hub = format!("{HUB}:443");
        let proxy = HttpProxy::start(&[(&hub, origin.port()), ("registry.example:443", origin.port())]);
        Some(Self { authority, origin, proxy })
    }

    fn user(&self) -> User {
        User::new()
            .with_variable("https_proxy", self.proxy.url())
            .with_variable("KILN_CA_FILE", self.authority.certificate().display().to_string())
    }

    /// Puts an image at its origin.
    fn publish(&self, repository: &str) {
        let (user, layout) = (self.user(), Layout::new());
        let certificate = std::fs::read(self.authority.certificate()).expect("it was made");
        let folder = user.write("certs/ca.crt", &certificate).parent().expect("certs").to_owned();
        let image = layout.image("linux/amd64", &[&noise(8, 50_000)]);
        layout.push_with(
            &user,
            &image,
            &format!("registry.example/{repository}"),
            &["--dest-cert-dir", folder.to_str().expect("UTF-8")],
        );
        self.origin.forget();
        self.proxy.forget();
    }
}

fn publish(registry: &Registry, repository: &str) {
    let (user, layout) = (User::new(), Layout::new());
    layout.push(
        &user,
        &layout.image("linux/amd64", &[&noise(7, 50_000)]),
        &format!("{}/{repository}", registry.host()),
    );
    registry.forget();
}

/// A port of loopback where nobody is.
fn nobody() -> String {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    format!("http://{}", socket.local_addr().expect("it is bound"))
}

fn layers_sent(registry: &Registry) -> usize {
    registry.requests().iter().filter(|r| r.method == "GET" && r.path.contains("/blobs/") && r.written > 40_000).count()
}

#[test]
fn the_next_mirror_stands_in_for_one_that_is_down() {
    let (Some(world), Some(mirror)) = (World::new(), plain()) else { return };
    publish(&mirror, "library/app:1");
    let (down, up) = (nobody(), format!("http://{}", mirror.host()));
    let by_option =
        world.user().with_option(&format!("--registry-mirror={down}")).with_option(&format!("--registry-mirror={up}"));
    let by_docker = world.user();
    by_docker.write("daemon.json", format!(r#"{{"registry-mirrors": ["{down}", "{up}"]}}"#).as_bytes());
    let by_old_docker = world.user();
    by_old_docker.write("daemon.json", format!(r#"{{"registry-mirror": ["{down}", "{up}"]}}"#).as_bytes());
    let by_config = world.user();
    by_config.configure(&format!("[registry.\"docker.io\"]\nmirrors = [\"{down}\", \"{up}\"]\n"));
    for (number, user) in [by_option, by_docker, by_old_docker, by_config].iter().enumerate() {
        let pulled = user.kiln(&["pull", "app:1"]);
        assert!(pulled.contains("1: Pulling from library/app\n"), "{pulled}");
        assert!(pulled.lines().any(|line| line == "docker.io/library/app:1"), "{pulled}");
        assert!(user.has("app:1"));
        assert_eq!(layers_sent(&mirror), number + 1, "{:?}", mirror.requests());
        let info = user.kiln(&["info"]);
        let first = info.find(&down).unwrap_or_else(|| panic!("{info}"));
        assert!(info[first..].contains(&up), "{info}");
    }
    assert!(world.origin.requests().is_empty(), "{:?}", world.origin.requests());
}

#[test]
fn the_origin_comes_last() {
    let (Some(world), Some(empty)) = (World::new(), plain()) else { return };
    world.publish("library/app:1");
    let user = world.user();
    user.configure(&format!("[registry.\"docker.io\"]\nmirrors = [\"{}\", \"http://{}\"]\n", nobody(), empty.host()));
    user.kiln(&["pull", "docker.io/library/app:1"]);
    assert!(empty.answers(|request| request.path.contains("library/app") && request.status == 404));
    assert_eq!(layers_sent(&world.origin), 1);
    let hub = format!("{HUB}:443");
    assert!(world.proxy.asked().iter().all(|host| *host == hub), "{:?}", world.proxy.asked());
}

#[test]
fn every_registry_can_have_mirrors() {
    let (Some(world), Some(mirror)) = (World::new(), plain()) else { return };
    publish(&mirror, "team/app:1");
    world.publish("other/app:1");
    let user = world.user();
    // That of Docker's hub is for the hub alone.
    user.write("daemon.json", format!(r#"{{"registry-mirrors": ["{}"]}}"#, nobody()).as_bytes());
    user.configure(&format!("[registry.\"registry.example\"]\nmirrors = [\"http://{}\"]\n", mirror.host()));
    user.kiln(&["pull", "registry.example/team/app:1"]);
    assert_eq!((layers_sent(&mirror), layers_sent(&world.origin)), (1, 0));
    user.kiln(&["pull", "registry.example/other/app:1"]);
    assert_eq!((layers_sent(&mirror), layers_sent(&world.origin)), (1, 1));
}

/// What is pushed goes to the origin, whoever else hands it out.
#[test]
fn nothing_is_pushed_to_mirrors() {
    let (Some(world), Some(mirror)) = (World::new(), plain()) else { return };
    let user = world.user();
    user.configure(&format!("[registry.\"registry.example\"]\nmirrors = [\"http://{}\"]\n", mirror.host()));
    user.image("registry.example/team/app:1", &[b"one"]);
    user.kiln(&["push", "registry.example/team/app:1"]);
    assert!(mirror.requests().is_empty(), "{:?}", mirror.requests());
    assert!(world.origin.answers(|request| request.method == "PUT" && request.path.contains("/manifests/1")));
}

/// A registry that fetches from its origin what it is asked for.
#[test]
fn pull_through_mirrors() {
    let Some(origin) = plain() else { return };
    publish(&origin, "library/app:1");
    let mirror_of = Some(format!("http://{}", origin.host()));
    let Some(mirror) = with(&Options { mirror_of, ..Options::default() }) else { return };
    for _ in 0..2 {
        let user = User::new().with_option(&format!("--registry-mirror=http://{}", mirror.host()));
        user.kiln(&["pull", "app:1"]);
        user.check_content("app:1");
    }
    assert_eq!(layers_sent(&mirror), 2);
}
