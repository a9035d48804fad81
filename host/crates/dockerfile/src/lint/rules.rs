//! The table of all rules: those of BuildKit under their names, and kiln's own, whose names begin with `Kiln`.

use std::fmt;

/// Something that is allowed and seldom wanted.
#[derive(Debug)]
pub struct Rule {
    /// As in `# check=skip=…`.
    pub name: &'static str,
    pub description: &'static str,
    /// Silent unless it is asked for: `# check=experimental=…`.
    pub experimental: bool,
}

impl Rule {
    const fn new(name: &'static str, description: &'static str) -> Self {
        Self { name, description, experimental: false }
    }

    const fn on_demand(name: &'static str, description: &'static str) -> Self {
        Self { name, description, experimental: true }
    }

    /// No other builder has it.
    pub fn is_own(&self) -> bool {
        self.name.starts_with("Kiln")
    }
}

impl PartialEq for Rule {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Rule {}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

macro_rules! rules {
    ($($constant:ident = $rule:expr;)*) => {
        $(pub(crate) static $constant: Rule = $rule;)*

        /// Every rule, BuildKit's first.
        pub static RULES: &[&Rule] = &[$(&$constant),*];
    };
}

rules! {
    CONSISTENT_INSTRUCTION_CASING = Rule::new(
        "ConsistentInstructionCasing",
        "All commands within the Dockerfile should use the same casing (either upper or lower)",
    );
    COPY_IGNORED_FILE = Rule::new("CopyIgnoredFile", "Attempting to Copy file that is excluded by .dockerignore");
    DUPLICATE_STAGE_NAME = Rule::new("DuplicateStageName", "Stage names should be unique");
    EXPOSE_INVALID_FORMAT = Rule::new(
        "ExposeInvalidFormat",
        "IP address and host-port mapping should not be used in EXPOSE instruction. This will become an error in a \
         future release",
    );
    EXPOSE_PROTO_CASING = Rule::new("ExposeProtoCasing", "Protocol in EXPOSE instruction should be lowercase");
    FROM_AS_CASING = Rule::new("FromAsCasing", "The 'as' keyword should match the case of the 'from' keyword");
    FROM_PLATFORM_FLAG_CONST_DISALLOWED =
        Rule::new("FromPlatformFlagConstDisallowed", "FROM --platform flag should not use a constant value");
    INVALID_DEFAULT_ARG_IN_FROM = Rule::new(
        "InvalidDefaultArgInFrom",
        "Default value for global ARG results in an empty or invalid base image name",
    );
    INVALID_DEFINITION_DESCRIPTION = Rule::on_demand(
        "InvalidDefinitionDescription",
        "Comment for build stage or argument should follow the format: `# <arg/stage name> <description>`. If this is \
         not intended to be a description comment, add an empty line or comment between the instruction and the \
         comment.",
    );
    JSON_ARGS_RECOMMENDED = Rule::new(
        "JSONArgsRecommended",
        "JSON arguments recommended for ENTRYPOINT/CMD to prevent unintended behavior related to OS signals",
    );
    LEGACY_KEY_VALUE_FORMAT = Rule::new(
        "LegacyKeyValueFormat",
        "Legacy key/value format with whitespace separator should not be used",
    );
    MAINTAINER_DEPRECATED = Rule::new(
        "MaintainerDeprecated",
        "The MAINTAINER instruction is deprecated, use a label instead to define an image author",
    );
    MULTIPLE_INSTRUCTIONS_DISALLOWED = Rule::new(
        "MultipleInstructionsDisallowed",
        "Multiple instructions of the same type should not be used in the same stage",
    );
    NO_EMPTY_CONTINUATION =
        Rule::new("NoEmptyContinuation", "Empty continuation lines will become errors in a future release");
    REDUNDANT_TARGET_PLATFORM = Rule::new(
        "RedundantTargetPlatform",
        "Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default behavior",
    );
    RESERVED_STAGE_NAME = Rule::new("ReservedStageName", "Reserved words should not be used as stage names");
    SECRETS_USED_IN_ARG_OR_ENV =
        Rule::new("SecretsUsedInArgOrEnv", "Sensitive data should not be used in the ARG or ENV commands");
    STAGE_NAME_CASING = Rule::new("StageNameCasing", "Stage names should be lowercase");
    UNDEFINED_ARG_IN_FROM = Rule::new("UndefinedArgInFrom", "FROM command must use declared ARGs");
    UNDEFINED_VAR = Rule::new("UndefinedVar", "Variables should be defined before their use");
    WORKDIR_RELATIVE_PATH = Rule::new(
        "WorkdirRelativePath",
        "Relative workdir without an absolute workdir declared within the build can have unexpected results if the \
         base image changes",
    );

    KILN_ADD_LOCAL_FILE =
        Rule::on_demand("KilnAddLocalFile", "COPY says what is meant where ADD takes an ordinary file of the context");
    KILN_FULL_WIDTH_QUOTE =
        Rule::new("KilnFullWidthQuote", "JSON arrays have ASCII quotes, commas and brackets only");
    KILN_INVALID_JSON_ARRAY =
        Rule::new("KilnInvalidJSONArray", "What looks like a JSON array and is none is taken as text");
    KILN_LATE_DIRECTIVE = Rule::new("KilnLateDirective", "Parser directives have an effect only at the top of the file");
    KILN_NEWER_SYNTAX = Rule::new("KilnNewerSyntax", "The file asks for a newer Dockerfile syntax than kiln's");
    KILN_NON_DETERMINISTIC_RUN =
        Rule::on_demand("KilnNonDeterministicRun", "The command gives another result each time it is run");
    KILN_NOT_WASI_CAPABLE =
        Rule::on_demand("KilnNotWasiCapable", "The step needs more than the WASI executor can give");
    KILN_PRAGMA_WITHOUT_EFFECT =
        Rule::new("KilnPragmaWithoutEffect", "A kiln: comment stands where it has no effect");
    KILN_RUN_NEEDS_NETWORK =
        Rule::on_demand("KilnRunNeedsNetwork", "The result of the command depends on what the network has today");
    KILN_SHELL_BACKGROUND = Rule::new(
        "KilnShellBackground",
        "A single & runs a command in the background, and whether it succeeds is not noticed",
    );
    KILN_TRAILING_COMMENT = Rule::new("KilnTrailingComment", "A comment needs a line of its own");
    KILN_UNKNOWN_RULE = Rule::new("KilnUnknownRule", "A check option names a rule that does not exist");
    KILN_UNPINNED_BASE =
        Rule::on_demand("KilnUnpinnedBase", "A base image without a digest can be another one tomorrow");
}

/// The rule of that name; case matters, as in BuildKit.
pub fn rule(name: &str) -> Option<&'static Rule> {
    RULES.iter().copied().find(|rule| rule.name == name)
}
