use super::*;

const ONE: Uuid = Uuid([1; 16]);
const OTHER: Uuid = Uuid([2; 16]);

fn domain(uuid: Uuid, activity: Activity) -> Seen {
    Ok(Some(Domain { name: "n2".into(), uuid, id: -1, activity, persistent: Some(true) }))
}

fn said(seen: Vec<Seen>) -> State {
    let seen: Vec<_> = seen.into_iter().enumerate().map(|(at, seen)| (format!("h{at}"), seen)).collect();
    verdict(&Plug::Name("n2".into()), &seen)
}

fn silent() -> Seen {
    Err(DeviceError::NoAnswer("connection refused".into()))
}

fn unknown(state: &State, word: &str) -> bool {
    matches!(state, State::Unknown(why) if why.contains(word))
}

#[test]
fn off_is_only_where_all_answered_and_one_has_it_shut_off() {
    use Activity::{Between, Runs, ShutOff};
    let (on, off) = (|| domain(ONE, Runs), || domain(ONE, ShutOff));
    let between = || domain(ONE, Between("in shutdown"));
    for seen in [vec![off()], vec![off(), Ok(None)], vec![Ok(None), off(), off()]] {
        assert_eq!(said(seen.clone()), State::Off, "{seen:?}");
    }
    for seen in [
        vec![on()],
        vec![off(), on()],
        vec![silent(), on()],
        vec![on(), silent()],
        vec![between(), on()],
        vec![Ok(None), on(), off()],
    ] {
        assert_eq!(said(seen.clone()), State::On, "{seen:?}");
    }
    for (seen, word) in [
        (vec![], "not off"),
        (vec![Ok(None)], "not off"),
        (vec![Ok(None), Ok(None)], "h0, h1"),
        (vec![silent()], "refused"),
        (vec![off(), silent()], "refused"),
        (vec![Ok(None), silent()], "refused"),
        (vec![between()], "in shutdown at h0"),
        (vec![off(), between()], "in shutdown at h1"),
        (vec![off(), domain(OTHER, ShutOff)], "two machines"),
        (vec![on(), domain(OTHER, ShutOff)], "two machines"),
    ] {
        let state = said(seen.clone());
        assert!(unknown(&state, word), "{seen:?}: {state:?}");
    }
}

#[test]
fn what_is_written_as_a_uuid_is_one_and_all_else_a_name() {
    let text = "4c4c4544-0051-3510-8052-b4c04f4a3332";
    let uuid = Uuid::parse(text).unwrap();
    assert_eq!(Plug::new(text), Plug::Uuid(uuid));
    assert_eq!(Plug::new(&text.to_uppercase()), Plug::Uuid(uuid));
    for name in [
        "n2",
        "",
        "4c4c454400513510805 2b4c04f4a3332",
        "4c4c4544005135108052b4c04f4a3332",
        "4c4c4544-0051-3510-8052-b4c04f4a333g",
        "----",
    ] {
        assert_eq!(Plug::new(name), Plug::Name(name.into()));
    }
}
