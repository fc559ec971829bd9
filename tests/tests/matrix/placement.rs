//! Where volumes should be: conditions that a node meets or not.

use super::lab::{LIMIT, Lab, V1, play, two};
use picket::demo::Fault;
use picket::demo::cluster::{ClusterSpec, View};
use std::fs;
use std::path::Path;

/// Met while no file says that the node is bad.
fn spec(dir: &Path) -> ClusterSpec {
    let file = dir.join("NODE.bad");
    let more = format!(
        "[[condition]]\ntag = \"gateway\"\ncommand = [\"/usr/bin/test\", \"!\", \"-e\", {file:?}]\n\
         interval = \"100ms\"\nthreshold = 2\n"
    );
    ClusterSpec { more, ..two() }
}

fn says(view: &View, node: &str, word: &str) -> Option<String> {
    let line = view.node(node)?.unprotected.iter().find(|line| line.word == word)?;
    Some(line.text.clone())
}

#[test]
fn a_volume_goes_where_its_conditions_are_met_stays_there_and_stays_when_no_node_meets_them() {
    play(async {
        let dir = tempfile::tempdir()?;
        let lab = Lab::start(spec(dir.path())).await?;
        let (first, second) = (lab.holder.clone(), lab.other.clone());
        let bad = |node: &str| dir.path().join(format!("{node}.bad"));
        let fault = Fault::now();
        fs::write(bad(&first), "")?;
        let there = |view: &View| view.in_service(V1) == Some(second.clone());
        lab.cluster.wait_for("the move", LIMIT, there).await?;
        lab.cluster
            .wait_for("the condition told", LIMIT, |view| says(view, &first, "CONDITION").is_some())
            .await?;
        lab.scene().writes_go_on("after the move", 50).await?;

        // While the first is still bad, the second becomes so: better there than nowhere.
        fs::write(bad(&second), "")?;
        let kept = |view: &View| {
            says(view, &second, "MISPLACED").is_some_and(|text| text.contains("is not met there"))
        };
        lab.cluster.wait_for("nobody meets it", LIMIT, kept).await?;
        lab.scene().writes_go_on("where nobody meets it", 50).await?;
        assert!(there(&lab.cluster.view().borrow().clone()), "it stayed");

        // The first is mended: it goes back. The second is mended: it stays.
        fs::remove_file(bad(&first))?;
        let back = |view: &View| view.in_service(V1) == Some(first.clone());
        lab.cluster.wait_for("the way back", LIMIT, back).await?;
        let mended = Fault::now();
        fs::remove_file(bad(&second))?;
        lab.event(&second, "condition-met", mended).await?;
        lab.scene().writes_go_on("where it is", 50).await?;
        let view = lab.cluster.wait_healthy(LIMIT).await?;
        assert!(
            back(&view) && view.first(&second, "promoted", mended.wall_ms).is_none(),
            "it stayed\n{view}"
        );
        assert_eq!(lab.fences(fault), 0, "somebody was fenced\n{view}");
        lab.judge(&first).await
    });
}
