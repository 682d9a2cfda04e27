//! What the process leaves behind when it dies of a fault: nothing. Its memory holds credentials and prompts.

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// Sees to it that no core file is ever written, and that no other process of the same user looks into this one.
///
/// # Errors
/// When the system refuses: then nothing is started.
pub(crate) fn keep_memory_to_itself() -> std::io::Result<()> {
    // The bound is for the children too, which begin dumpable again; where the kernel hands cores to a program
    // (core(5)), only the second call counts.
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use rustix::process::{dumpable_behavior, getrlimit};

    use super::*;

    #[test]
    fn nobody_looks_into_this_process_and_it_leaves_no_core() {
        keep_memory_to_itself().unwrap();
        assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
        let Rlimit { current, maximum } = getrlimit(Resource::Core);
        assert_eq!((current, maximum), (Some(0), Some(0)));
    }
}
