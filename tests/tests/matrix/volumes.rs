//! Data that is not what it should be: row 28.

use super::lab::{LIMIT, Lab, V1, play, two};

#[test]
fn row_28_a_swapped_disk_is_refused_by_its_data() {
    play(async {
        let lab = Lab::start(two()).await?;
        // The recorded generation is no longer the first one after a node was away.
        lab.cluster.machine(&lab.other)?.power_off().await?;
        lab.holder_alone().await?;
        lab.cluster.machine(&lab.other)?.power_on().await?;
        lab.cluster.wait_healthy(LIMIT).await?;
        let (holder, other) = (lab.cluster.machine(&lab.holder)?, lab.cluster.machine(&lab.other)?);
        // Whichever is off first: the one that is left can have nothing recorded.
        lab.cut_witness(&lab.holder);
        lab.cut_witness(&lab.other);
        let (first, second) = tokio::join!(holder.power_off(), other.power_off());
        first.and(second)?;
        lab.cluster.links().heal_everything();
        let disk = lab.cluster.dir().join(&lab.other).join("state").join(V1);
        std::fs::remove_dir_all(&disk).map_err(|error| format!("{}: {error}", disk.display()))?;
        other.power_on().await?;
        let volume = lab.volume(&lab.other, "refused", |volume| volume.why_word == "DATA_MISMATCH").await?;
        assert_eq!(volume.role, "SECONDARY");
        holder.power_on().await?;
        lab.cluster.wait_healthy(LIMIT).await?;
        let primary = lab.cluster.wait_in_service(V1, LIMIT).await?;
        assert_eq!(primary, lab.holder);
        lab.judge(&primary).await
    });
}
