//! A small program with every kind of fault: woven, and told by number which fault is on, it does what it does when
//! cargo-mutants has put that fault in. `fixture/list.json` is what cargo-mutants 27.1.0 lists for it.

#![allow(clippy::unwrap_used)] // a test fails by it

use picket_schemata::compile::{Built, Tree};
use picket_schemata::list::List;
use picket_schemata::run::{Said, Step, ask, baseline};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Mutex;

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixture")
}

fn list() -> List {
    List::read(&fixture().join("list.json"), &fixture()).unwrap()
}

/// A copy of the fixture, as a package.
fn copy(root: &Path) {
    std::fs::create_dir_all(root.join("src")).unwrap();
    for (from, to) in
        [("manifest.toml", "Cargo.toml"), ("src/main.rs", "src/main.rs"), ("src/rules.rs", "src/rules.rs")]
    {
        std::fs::copy(fixture().join(from), root.join(to)).unwrap();
    }
}

fn woven(root: &Path, list: &List) -> Built {
    copy(root);
    let numbers: Vec<u32> = list.numbered().map(|(number, _)| number).collect();
    let files = list.files(&numbers).unwrap();
    let target = root.join("target");
    let tree = Tree { root, target: &target, files: &files, first: "src/main.rs" };
    tree.build(&[&["check"], &["build"]]).unwrap()
}

/// The program as cargo-mutants would compile it; none if that does not compile.
fn plain(root: &Path, mutated: &str) -> Option<PathBuf> {
    copy(root);
    std::fs::write(root.join("src/rules.rs"), mutated).unwrap();
    let rustc = Command::new("rustc")
        .args(["--edition=2024", "--cap-lints=allow", "-Coverflow-checks", "src/main.rs", "-o", "program"])
        .current_dir(root)
        .output()
        .unwrap();
    rustc.status.success().then(|| root.join("program"))
}

/// What the program says and how it ends, a crash without its place in the file, which is another one.
fn told(output: &Output) -> (Option<i32>, String) {
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn each_fault_does_what_cargo_mutants_would_compile() {
    let folder = tempfile::tempdir().unwrap();
    let list = list();
    let built = woven(&folder.path().join("woven"), &list);
    let program = &built.programs["fixture"];
    let ours =
        |number: u32| told(&Command::new(program).env("PICKET_FAULT", number.to_string()).output().unwrap());
    let original = ours(0);
    let files = list.files(&list.numbered().map(|(number, _)| number).collect::<Vec<_>>()).unwrap();
    let queue = Mutex::new(files["src/rules.rs"].1.clone());
    let (compared, changed) = (Mutex::new(0), Mutex::new(0));
    std::thread::scope(|scope| {
        for job in 0..2 {
            let root = folder.path().join(format!("plain-{job}"));
            let (queue, compared, changed, list, built, ours, original) =
                (&queue, &compared, &changed, &list, &built, &ours, &original);
            scope.spawn(move || {
                loop {
                    let Some(fault) = queue.lock().unwrap().pop() else { return };
                    let name = &list.get(fault.number).unwrap().name;
                    let theirs = plain(&root, &fault.mutated);
                    assert_eq!(theirs.is_none(), built.unviable.contains(&fault.number), "{name}");
                    let Some(theirs) = theirs.filter(|_| !built.left.contains(&fault.number)) else {
                        continue;
                    };
                    let theirs = told(&Command::new(theirs).output().unwrap());
                    assert_eq!(theirs, ours(fault.number), "{name}");
                    *compared.lock().unwrap() += 1;
                    *changed.lock().unwrap() += u32::from(theirs != *original);
                }
            });
        }
    });
    assert_eq!(
        (*compared.lock().unwrap(), *changed.lock().unwrap()),
        (62, 60),
        "two change nothing that is printed"
    );
}

#[test]
fn what_has_no_place_is_left_and_what_does_not_compile_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let list = list();
    let built = woven(folder.path(), &list);
    let functions = |numbers: &BTreeSet<u32>| -> BTreeSet<String> {
        let name = |number: &u32| list.get(*number).unwrap().lasting_name();
        numbers.iter().map(name).collect()
    };
    let left = functions(&built.left);
    assert!(
        !left.is_empty() && left.iter().all(|name| name.contains("needed") || name.contains("opaque")),
        "{left:?}"
    );
    let unviable = functions(&built.unviable);
    assert!(unviable.contains("src/rules.rs: replace && with || in chain"), "{unviable:?}");
}

#[test]
fn tests_judge_a_fault_by_how_they_end() {
    let step = |script: &str| Step {
        name: "script",
        program: "/bin/sh".into(),
        arguments: vec!["-c".into(), script.into()],
        folder: std::env::temp_dir(),
        cpu_s_max: 1,
    };
    assert_eq!(ask(&step("test $PICKET_FAULT = 7"), 7), Ok(Said::Survived));
    assert_eq!(ask(&step("test $PICKET_FAULT = 7"), 8), Ok(Said::Caught));
    assert_eq!(ask(&step("kill -ABRT $$"), 1), Ok(Said::Caught), "as when memory runs out");
    assert_eq!(ask(&step("while :; do :; done"), 1), Ok(Said::TimedOut));
    let nothing = Step { program: "/nonexistent".into(), ..step("") };
    assert!(ask(&nothing, 1).unwrap_err().contains("did not run"));
    assert!(baseline(&mut [step("exit 1")]).unwrap_err().contains("without a fault, this fails"));
}
