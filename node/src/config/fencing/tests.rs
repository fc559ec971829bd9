use crate::config::{ActionMap, Config, TestDepth};
use crate::testing;
use core::time::Duration;
use picket_core::ids::NodeId;
use picket_fence::caller::Caller;
use picket_fence::input::Options;
use picket_fence::registry::{self, DeviceKind};
use picket_host::config::Source;
use std::path::{Path, PathBuf};

/// The good text with these levels at its end.
fn with(levels: &str) -> Result<Config, String> {
    let text = format!("{}\n{levels}\n", testing::text("n1"));
    Config::parse(&Source::from_text("picketd.toml", &text)).map_err(|errors| errors.to_string())
}

#[test]
fn tests_and_words_of_a_device_are_read() {
    let config = with(
        "[[fence.n2.level]]\nagent = \"/a\"\n[[fence.n2.level]]\nagent = \"/b\"\ntest = \"monitor\"\n\
         actions = { off = \"poweroff\", on = \"none\" }",
    );
    let config = config.unwrap();
    let levels = &config.fencing[&NodeId(2)];
    assert_eq!((levels[0][0].test, &levels[0][0].actions), (TestDepth::Full, &ActionMap::default()));
    assert_eq!(levels[1][0].test, TestDepth::Monitor);
    assert_eq!(levels[1][0].actions, ActionMap { off: "poweroff".to_owned(), on: None });
    assert_eq!(config.test_interval, Some(Duration::from_secs(600)));
}

#[test]
fn a_word_for_off_that_leaves_the_machine_on_is_refused() {
    for word in ["on", "reboot", "cycle", "none"] {
        let told = with(&format!("[[fence.n2.level]]\nagent = \"/a\"\nactions = {{ off = \"{word}\" }}"));
        let told = told.unwrap_err();
        assert!(told.contains("does not leave the machine off"), "{told}");
    }
}

#[test]
fn two_machines_on_one_plug_are_refused() {
    let levels = |two: &str, three: &str| {
        with(&format!(
            "[[fence.n2.level]]\nagent = \"/a\"\noptions = {{ ip = \"10.0.0.9\", plug = \"{two}\" }}\n\
             [[fence.n3.level]]\nagent = \"/a\"\noptions = {{ ip = \"10.0.0.9\", plug = \"{three}\" }}"
        ))
    };
    let told = levels("7", "7").unwrap_err();
    assert!(told.contains("the same device and plug as a level of \"n2\""), "{told}");
    levels("7", "8").unwrap();
}

/// A page and its text.
fn page(name: &str) -> (PathBuf, String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/agents").join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    (path, text)
}

/// The blocks of a page in one language.
fn blocks<'t>(text: &'t str, language: &str) -> Vec<&'t str> {
    let begin = format!("```{language}\n");
    text.split(&begin).skip(1).map(|block| block.split("```").next().unwrap()).collect()
}

/// A block with levels, read as the configuration. A lab takes agents of others by their path only, and none of them
/// is installed here.
fn levels(path: &Path, block: &str) -> Config {
    let levels = block.replace("agent = \"fence_", "agent = \"/usr/sbin/fence_");
    with(&levels).unwrap_or_else(|errors| panic!("{}: {errors}\n{levels}", path.display()))
}

/// The words of a line as a shell reads them, as far as the pages need it: blanks, and double quotes.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted) = (Vec::new(), String::new(), false);
    for letter in line.chars().chain([' ']) {
        match letter {
            '"' => quoted = !quoted,
            ' ' if !quoted => words.extend(Some(std::mem::take(&mut word)).filter(|word| !word.is_empty())),
            other => word.push(other),
        }
    }
    assert!(!quoted, "a quote is not closed: {line}");
    words
}

/// The agent knows each option and can be opened with them, but for files of other hosts.
fn taken_by_agent(kind: &'static DeviceKind, options: &[(String, String)], shown: &str) {
    let mut lines = String::from("action=off\nnodename=n2\n");
    for (name, value) in options {
        match name.as_str() {
            "password_file" => lines.push_str("password=secret\n"),
            _ => lines.push_str(&format!("{name}={value}\n")),
        }
    }
    let options = Options::from_lines(kind, &lines);
    assert!(options.ignored.is_empty(), "{shown}: unknown to {}: {:?}", kind.name, options.ignored);
    assert!(options.check(true).is_empty(), "{shown}: {:?}", options.check(true));
    let opened = match kind.gate {
        Some(open) => open(&options, Caller::PicketGate).map(drop),
        None => (kind.open)(&options).map(drop),
    };
    if let Err(error) = opened {
        assert!(error.to_string().contains("No such file or directory"), "{shown}: {error}");
    }
}

/// What people copy from the pages is read without an error.
#[test]
fn the_examples_of_the_pages_are_good() {
    let pages = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/agents");
    for entry in std::fs::read_dir(pages).unwrap() {
        let (path, text) = page(&entry.unwrap().file_name().to_string_lossy());
        for block in blocks(&text, "toml") {
            levels(&path, block);
        }
    }
}

/// Every agent has a page with an example for Picket and one for Pacemaker, and takes the options that stand there.
#[test]
fn every_agent_has_an_example_for_picket_and_one_for_pacemaker() {
    for kind in registry::DEVICES {
        let (path, text) = page(&format!("{}.md", kind.name.replace('_', "-")));
        let shown = path.display().to_string();
        let (mut for_picket, mut for_pacemaker) = (0, 0);
        for block in blocks(&text, "toml") {
            for device in levels(&path, block).fencing.values().flatten().flatten() {
                let own = device.agent.as_deref().and_then(registry::of_program);
                // A person is asked by the daemon itself.
                for_picket += usize::from(device.agent.is_none() && kind.name == "meatware");
                let Some(own) = own.filter(|own| own.name == kind.name) else { continue };
                let secrets = device.secrets.keys().map(|name| (name.clone(), "secret".to_owned()));
                let options: Vec<_> = device.options.clone().into_iter().chain(secrets).collect();
                taken_by_agent(own, &options, &shown);
                for_picket += 1;
            }
        }
        for line in blocks(&text, "sh").concat().replace("\\\n", " ").lines() {
            let words = words(line);
            let [pcs, stonith, create, _, agent, given @ ..] = words.as_slice() else { continue };
            if [pcs, stonith, create] != ["pcs", "stonith", "create"] || *agent != kind.agent_name() {
                continue;
            }
            let options: Vec<_> = given.iter().map(|word| word.split_once('=').expect(word)).collect();
            let own = options.iter().filter(|(name, _)| !name.starts_with("pcmk_"));
            let own: Vec<_> = own.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            taken_by_agent(kind, &own, &shown);
            for_pacemaker += 1;
        }
        assert!(
            for_picket > 0 && for_pacemaker > 0,
            "{shown}: {for_picket} for Picket, {for_pacemaker} for Pacemaker"
        );
    }
}
