//! A folder that comes and goes while the host starts. What happens between two looks of one scan is hard to hit from
//! outside, so the looks are handed over here.

use std::fs;

use super::*;
use crate::{RuntimeConfig, load::CompileConfig};

fn loader(folder: PathBuf) -> Loader {
    let runtime = Runtime::new(RuntimeConfig { memories: 1, pool: false, ..RuntimeConfig::default() }).unwrap();
    let compiler = Arc::new(Compiler::new(CompileConfig::default(), &runtime, None));
    Loader::new(runtime, compiler, LoaderConfig::new(folder))
}

/// The ids of what would be in force now.
fn in_force(loader: &mut Loader) -> Vec<String> {
    let _ = loader.publish();
    loader.current().unwrap().policies.iter().map(|policy| policy.info().id.clone()).collect()
}

#[tokio::test]
async fn a_folder_that_is_readable_for_a_moment_at_the_start_goes_on_blocking_until_all_of_it_was_read() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("policies");
    let mut loader = loader(folder.clone());
    let now = Instant::now();
    assert_eq!(loader.scan(now).await.set.unwrap().policies[0].info().id, FOLDER_ID);

    // It is there, and a file in it is being written; then it can't be read again, however often that happens.
    fs::create_dir(&folder).unwrap();
    for _ in 0..3 {
        let mut look = loader.look().await.unwrap();
        look.seen.insert("20-new".to_owned(), Seen::Changing);
        assert!(loader.apply(Ok(look), now, false).changing);
        assert_eq!(in_force(&mut loader), [FOLDER_ID]);
        loader.apply(Err(Refused::passing(stage::READ, "it went away")), now, false);
        assert_eq!(in_force(&mut loader), [FOLDER_ID]);
    }

    // What is there at last can be read whole: a policy that is not good is stood in for, and the folder blocks no more.
    fs::write(folder.join("20-new.wasm"), "nonsense").unwrap();
    let set = loader.scan(now).await.set.unwrap();
    assert_eq!(set.policies.iter().map(|policy| policy.info().id.as_str()).collect::<Vec<_>>(), ["20-new"]);
    // From now on a folder that goes away leaves in force what is.
    fs::remove_dir_all(&folder).unwrap();
    loader.scan(now).await;
    assert_eq!(in_force(&mut loader), ["20-new"]);
}
