//! Published vectors: RFC 4231 (HMAC-SHA256), RFC 2202 (HMAC-SHA1), NIST SP 800-38A (AES-CBC).

use super::*;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let pairs = digits.chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
    pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

#[test]
fn hmacs_are_those_of_the_rfcs() {
    let sha256 = hex("b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    assert_eq!(*Suite::Seventeen.hmac(&[0x0b; 20], &[b"Hi ", b"There"]), sha256);
    let jefe = hex("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    assert_eq!(*Suite::Seventeen.hmac(b"Jefe", &[b"what do ya want for nothing?"]), jefe);
    let sha1 = hex("b617318655057264e28bc0b6fb378c8ef146be00");
    assert_eq!(*Suite::Three.hmac(&[0x0b; 20], &[b"Hi There"]), sha1);
}

#[test]
fn aes_cbc_is_that_of_nist() {
    let mut keys = Keys::new(Suite::Three, b"any");
    keys.confidentiality.copy_from_slice(&hex("2b7e151628aed2a6abf7158809cf4f3c"));
    let iv: [u8; 16] = hex("000102030405060708090a0b0c0d0e0f").try_into().unwrap();
    let text = hex("6bc1bee22e409f96e93d7e117393172a ae2d8a571e03ac9c9eb76fac45af8e51");
    let hidden = keys.encrypt(iv, &text);
    let expected = hex("7649abac8119b246cee98e9b12e9197d 5086cb9b507219ee95db113a917678b2");
    assert_eq!(hidden[16..48], expected);
    assert_eq!(keys.decrypt(&hidden), Some(text));
}

#[test]
fn every_length_comes_back_and_no_other_length_is_read() {
    let keys = Keys::new(Suite::Seventeen, b"key");
    for len in 0..70_u8 {
        let text: Vec<u8> = (0..len).collect();
        let hidden = keys.encrypt([len; 16], &text);
        assert_eq!(keys.decrypt(&hidden), Some(text));
        assert_eq!(keys.decrypt(&hidden[..hidden.len() - 1]), None);
    }
    assert_eq!(keys.decrypt(&[0; 16]), None);
}
