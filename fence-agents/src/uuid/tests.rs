use super::*;

const TEXT: &str = "00112233-4455-6677-8899-aabbccddeeff";

#[test]
fn it_is_read_as_it_is_written() {
    let uuid = Uuid::parse(TEXT).unwrap();
    assert_eq!(
        uuid.0,
        [0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff]
    );
    assert_eq!(uuid.to_string(), TEXT);
    for text in [TEXT.to_uppercase(), TEXT.replace('-', ""), format!("-{}", TEXT.replace('-', ""))] {
        assert_eq!(Uuid::parse(&text), Some(uuid), "{text}");
    }
    assert_eq!(Uuid::parse_grouped(&TEXT.to_uppercase()), Some(uuid));
}

#[test]
fn nothing_else_is_one() {
    let bare = TEXT.replace('-', "");
    let (short, long, signed) = (&TEXT[1..], format!("{TEXT}0"), format!("+{}", &TEXT[1..]));
    let letter = TEXT.replace('f', "g");
    let wide = format!("{}é", &bare[..30]);
    for text in ["", short, &long, &signed, &letter, &wide, "00112233_4455_6677_8899_aabbccddeeff"] {
        assert_eq!(Uuid::parse(text), None, "{text}");
        assert_eq!(Uuid::parse_grouped(text), None, "{text}");
    }
    for text in
        [bare.as_str(), "001122334-455-6677-8899-aabbccddeeff", "00112233-4455-6677-8899aabb-ccddeeff"]
    {
        assert!(Uuid::parse(text).is_some() && Uuid::parse_grouped(text).is_none(), "{text}");
    }
}
