use super::*;

fn act(ok: bool) -> ActReport {
    ActReport { id: "steady".into(), name: "All is well".into(), ok, ..ActReport::default() }
}

#[test]
fn all_must_be_as_expected() {
    let good = DemoReport { acts: vec![act(true)], acknowledged: 5, ..DemoReport::new() };
    assert!(good.ok());
    assert!(!DemoReport { acts: vec![act(true), act(false)], ..good.clone() }.ok());
    assert!(!DemoReport { lost: 1, ..good.clone() }.ok());
    assert!(!DemoReport { dual_active: 1, ..good.clone() }.ok());
    assert!(!DemoReport { other_findings: 1, ..good.clone() }.ok());
    assert!(!DemoReport { acts: Vec::new(), ..good }.ok(), "nothing played proves nothing");
}

#[test]
fn the_json_has_its_schema_and_null_where_nothing_applies() {
    let report = DemoReport { acts: vec![act(true)], ..DemoReport::new() };
    let json: serde_json::Value = serde_json::from_str(&report.json().unwrap()).unwrap();
    assert_eq!(json["schema"], 1);
    for key in ["outage_ms", "detection_ms", "proof_ms", "promotion_ms", "proof"] {
        assert!(json["acts"][0].as_object().unwrap().contains_key(key), "{key}");
        assert!(json["acts"][0][key].is_null(), "{key}");
    }
    assert_eq!(
        (&json["lost"], &json["dual_active"], &json["acknowledged"]),
        (&0.into(), &0.into(), &0.into())
    );
}
