//! What `portcullis policy inspect` and `check` get to know.

use std::{fs, sync::Arc};

use engine::load::{Compiler, inspect, inspect_folder, shape::Form};

use crate::rig::{children, lockdown, runtime, shared_cache, shipped};

fn compiler() -> Arc<Compiler> {
    Arc::new(Compiler::new(children(), &runtime(), Some(shared_cache())))
}

#[tokio::test]
async fn a_shipped_policy_tells_everything_of_itself() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("10-mask.wasm");
    fs::write(&path, shipped("mask")).unwrap();
    let found = inspect(&runtime(), &compiler(), &path, None).await;
    assert_eq!(found.problems, []);
    assert_eq!((found.id.as_str(), found.form, found.settings.order), ("10-mask", Some(Form::CoreModule), 10));
    assert_eq!(found.size, shipped("mask").len() as u64);
    let description = found.description.unwrap();
    assert_eq!(description.name, "mask");
    let schema: serde_json::Value = serde_json::from_str(&description.settings_schema).unwrap();
    assert!(schema.is_object());
    let plan = found.plan.unwrap();
    assert!(plan.hooks.text && !plan.patterns.is_empty());
    assert!(found.imports.iter().all(|import| import.granted), "{:?}", found.imports);
    assert!(found.producers.iter().any(|name| name == "Rust"), "{:?}", found.producers);
}

#[tokio::test]
async fn everything_that_is_wrong_is_told() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("stop.wasm");
    fs::write(&path, lockdown()).unwrap();
    fs::write(path.with_extension("toml"), "mode = \"shaddow\"\nordr = 1\n[settings]\nmessage = 3\n").unwrap();
    let found = inspect(&runtime(), &compiler(), &path, None).await;
    let error = found.settings_error.unwrap();
    assert_eq!(error.faults.len(), 2);
    assert_eq!(found.problems.len(), 1);
    assert_eq!(found.description.unwrap().name, "lockdown", "it is looked at with the defaults all the same");

    fs::write(path.with_extension("toml"), "[settings]\nmessage = 3\n").unwrap();
    let found = inspect(&runtime(), &compiler(), &path, None).await;
    assert_eq!((found.problems.len(), found.problems[0].stage), (1, "settings"), "{:?}", found.problems);
    let fault = &found.settings_error.unwrap().faults[0];
    assert_eq!((found.problems[0].file.as_str(), fault.line, fault.column), ("stop.toml", 2, 11), "{fault:?}");
    assert!(found.description.is_some() && found.plan.is_none());

    let missing = inspect(&runtime(), &compiler(), &home.path().join("none.wasm"), None).await;
    assert_eq!((missing.problems.len(), missing.problems[0].stage), (1, "read"));
}

#[tokio::test]
async fn a_name_that_a_host_refuses_is_told() {
    let home = tempfile::tempdir().unwrap();
    for name in ["my policy".to_owned(), "a".repeat(70)] {
        let path = home.path().join(format!("{name}.wasm"));
        fs::write(&path, lockdown()).unwrap();
        let found = inspect(&runtime(), &compiler(), &path, None).await;
        assert!(found.problems.len() == 1 && found.problems[0].message.contains("rename it"), "{:?}", found.problems);
        assert!(found.plan.is_some(), "it is looked at all the same");
    }
}

#[tokio::test]
async fn a_folder_is_inspected_in_the_order_of_the_chain() {
    let home = tempfile::tempdir().unwrap();
    for name in ["20-b.wasm", "a.wasm", "10-c.wasm"] {
        fs::write(home.path().join(name), lockdown()).unwrap();
    }
    fs::write(home.path().join("a.toml"), "order = 15").unwrap();
    fs::write(home.path().join("old.cwasm"), "code").unwrap();
    let (found, problems) = inspect_folder(&runtime(), &compiler(), home.path(), None).await.unwrap();
    assert_eq!(found.iter().map(|found| found.id.as_str()).collect::<Vec<_>>(), ["10-c", "a", "20-b"]);
    assert!(found.iter().all(|found| found.problems.is_empty()));
    assert_eq!(problems.len(), 1);
    assert!(inspect_folder(&runtime(), &compiler(), &home.path().join("none"), None).await.is_err());
}
