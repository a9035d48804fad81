//! `kiln top`: its options.

use clap::Args;

/// Show the processes of a container
///
/// As the host sees them, in the columns of `ps -ef`. Of the options of ps, `-f`, `-l`, `aux` and `-o COLUMNS` are taken;
/// kiln reads /proc itself.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kiln top web
  kiln top web aux
  kiln top web -o pid,user,rss,args

Columns for -o: pid ppid user uid gid comm args c pcpu pmem vsz rss tty stat state stime start time etime ni nlwp")]
pub(crate) struct Top {
    /// Name or id
    #[arg(value_name = "CONTAINER")]
    pub(crate) container: String,

    /// Options of ps
    #[arg(value_name = "PS OPTIONS", trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) options: Vec<String>,
}
