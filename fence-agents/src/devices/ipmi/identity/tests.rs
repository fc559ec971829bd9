use super::*;

#[test]
fn a_guid_fits_in_every_order_and_no_other_does() {
    let uuid = Uuid::parse("00112233-4455-6677-8899-AABBCCDDEEFF").unwrap();
    assert!(is_of(uuid, uuid.0) && is_of(uuid, reversed(uuid.0)));
    let turned = [0x33, 0x22, 0x11, 0, 0x55, 0x44, 0x77, 0x66, 0x88, 0x99];
    let turned: Vec<u8> =
        turned.into_iter().chain(0xaa_u8..=0xaa).chain([0xbb, 0xcc, 0xdd, 0xee, 0xff]).collect();
    let turned: [u8; 16] = turned.try_into().unwrap();
    assert!(is_of(uuid, turned));
    assert_eq!(shown(turned), uuid);
    for at in 0..16 {
        let mut other = turned;
        other[at] ^= 1;
        assert!(!is_of(uuid, other));
    }
}
