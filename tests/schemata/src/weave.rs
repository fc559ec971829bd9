//! Puts many faults of one file into one text, each behind its number.
//!
//! Every function that has faults becomes a choice between whole bodies:
//!
//! ```text
//! fn f(…) { match crate::fault::chosen() { 7 => {body with fault 7} 8 => {body with fault 8} _ => {body} } }
//! ```
//!
//! A body is copied as it stands in the file that cargo-mutants would write; so precedence, types and borrows are those
//! of that file, and no fault needs a rule of its own. A fault can be chosen only where the program decides at run time:
//! `const` is taken away from functions, unless a caller needs it.

use std::collections::BTreeSet;
use std::ops::Range;
use syn::spanned::Spanned as _;
use syn::visit::Visit;

/// The module that knows which fault is chosen; it is put beside the crate's own.
pub const MODULE: &str = include_str!("fault.rs.txt");

/// A fault: its number, and the whole file with it.
#[derive(Clone, Debug)]
pub struct Fault {
    /// What chooses it; nought is no fault.
    pub number: u32,
    /// The file as cargo-mutants would write it.
    pub mutated: String,
}

/// A file with its faults.
#[derive(Debug, Default)]
pub struct Woven {
    /// The file's text.
    pub text: String,
    /// Where in it each fault's body stands.
    pub bodies: Vec<(u32, Range<usize>)>,
    /// Faults that have no place in it: outside of functions, in functions that must stay `const`, and in those that
    /// return an `impl` type, which has to be the same one from every body.
    pub left: Vec<u32>,
}

/// A function that is in no other.
struct Function {
    name: String,
    constant: Option<Range<usize>>,
    body: Range<usize>,
    opaque: bool,
}

#[derive(Default)]
struct Functions(Vec<Function>);

impl Functions {
    fn add(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let mut opaque = Opaque(false);
        opaque.visit_return_type(&signature.output);
        self.0.push(Function {
            name: signature.ident.to_string(),
            constant: signature.constness.map(|word| word.span().byte_range()),
            body: block.span().byte_range(),
            opaque: opaque.0,
        });
    }
}

/// Whether a type has an `impl` in it.
struct Opaque(bool);

impl<'ast> Visit<'ast> for Opaque {
    fn visit_type_impl_trait(&mut self, _: &'ast syn::TypeImplTrait) {
        self.0 = true;
    }
}

impl<'ast> Visit<'ast> for Functions {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.add(&item.sig, &item.block);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.add(&item.sig, &item.block);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.add(&item.sig, block);
        }
    }
}

/// The file with all its faults; functions of these names stay `const`.
///
/// # Errors
/// A text that is no Rust.
pub fn weave(source: &str, faults: &[Fault], constants: &BTreeSet<String>) -> Result<Woven, String> {
    let mut functions = Functions::default();
    functions.visit_file(&syn::parse_file(source).map_err(|error| error.to_string())?);
    let mut woven = Woven::default();
    let mut taken = 0;
    let mut placed = BTreeSet::new();
    for function in &functions.0 {
        let stays_constant = function.constant.is_some() && constants.contains(&function.name);
        if let Some(word) = function.constant.clone().filter(|_| !stays_constant) {
            woven.text.push_str(&source[taken..word.start]);
            taken = word.end;
        }
        if stays_constant || function.opaque {
            continue;
        }
        let inside: Vec<&Fault> =
            faults.iter().filter(|fault| holds(&function.body, source, &fault.mutated)).collect();
        if !inside.is_empty() {
            woven.text.push_str(&source[taken..function.body.start]);
            taken = function.body.end;
            placed.extend(inside.iter().map(|fault| fault.number));
            choice(&mut woven, source, &function.body, &inside);
        }
    }
    woven.text.push_str(&source[taken..]);
    woven.left = faults.iter().map(|fault| fault.number).filter(|number| !placed.contains(number)).collect();
    Ok(woven)
}

/// Whether all that a fault changes stands within the range.
fn holds(range: &Range<usize>, source: &str, mutated: &str) -> bool {
    let (before, after) = (&source[..=range.start], &source[range.end - 1..]);
    mutated.strip_prefix(before).is_some_and(|rest| rest.ends_with(after))
}

fn choice(woven: &mut Woven, source: &str, body: &Range<usize>, faults: &[&Fault]) {
    woven.text.push_str("{ match crate::fault::chosen() {\n");
    for fault in faults {
        woven.text.push_str(&format!("{} => ", fault.number));
        let start = woven.text.len();
        woven.text.push_str(&fault.mutated[body.start..fault.mutated.len() - (source.len() - body.end)]);
        woven.bodies.push((fault.number, start..woven.text.len()));
        woven.text.push('\n');
    }
    woven.text.push_str("_ => ");
    woven.text.push_str(&source[body.clone()]);
    woven.text.push_str("\n} }");
}
