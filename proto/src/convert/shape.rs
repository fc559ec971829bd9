//! The shapes that most conversions have. Field and variant names are the same on both sides, so that a shape
//! needs only to name them; a name that is forgotten on either side does not compile.

/// A message with the same fields as the core's struct.
macro_rules! fields {
    ($core:ident => $wire:ident { $($field:ident),* $(,)? }) => {
        impl $crate::convert::Message for $core {
            type Wire = $crate::v1::$wire;
            fn to_wire(&self) -> Self::Wire {
                $crate::v1::$wire { $($field: $crate::convert::Wire::put(&self.$field)),* }
            }
            fn from_wire(wire: Self::Wire) -> Result<Self, $crate::convert::WireError> {
                Ok(Self {
                    $($field: $crate::convert::Wire::take(wire.$field)
                        .map_err(|error| error.within(stringify!($field)))?),*
                })
            }
        }
        $crate::convert::shape::optional!($core => $wire);
    };
}

/// A message with one `oneof kind`, for a core enum: variants without content, with one message, with fields.
macro_rules! choice {
    ($core:ident => $wire:ident in $module:ident {
        units { $($unit:ident),* $(,)? }
        inners { $($inner:ident),* $(,)? }
        fields { $($variant:ident { $($field:ident),* $(,)? }),* $(,)? }
    }) => {
        impl $crate::convert::Message for $core {
            type Wire = $crate::v1::$wire;
            fn to_wire(&self) -> Self::Wire {
                use $crate::v1::$module::Kind;
                let kind = match self {
                    $($core::$unit => Kind::$unit($crate::v1::Unit {}),)*
                    $($core::$inner(inner) => Kind::$inner($crate::convert::Message::to_wire(inner)),)*
                    $($core::$variant { $($field),* } => Kind::$variant($crate::v1::$module::$variant {
                        $($field: $crate::convert::Wire::put($field)),*
                    }),)*
                };
                $crate::v1::$wire { kind: Some(kind) }
            }
            fn from_wire(wire: Self::Wire) -> Result<Self, $crate::convert::WireError> {
                use $crate::v1::$module::Kind;
                let missing = || $crate::convert::WireError::new($crate::convert::Fault::Missing);
                Ok(match wire.kind.ok_or_else(missing)? {
                    $(Kind::$unit($crate::v1::Unit {}) => $core::$unit,)*
                    $(Kind::$inner(inner) => $core::$inner(
                        $crate::convert::Message::from_wire(inner)
                            .map_err(|error| error.within(stringify!($inner)))?
                    ),)*
                    $(Kind::$variant(inner) => $core::$variant {
                        $($field: $crate::convert::Wire::take(inner.$field).map_err(|error| {
                            error.within(stringify!($field)).within(stringify!($variant))
                        })?),*
                    },)*
                })
            }
        }
        $crate::convert::shape::optional!($core => $wire);
    };
}

/// A message as a required field of another one.
macro_rules! optional {
    ($core:ident => $wire:ident) => {
        impl $crate::convert::Wire<Option<$crate::v1::$wire>> for $core {
            fn put(&self) -> Option<$crate::v1::$wire> {
                Some($crate::convert::Message::to_wire(self))
            }
            fn take(wire: Option<$crate::v1::$wire>) -> Result<Self, $crate::convert::WireError> {
                let missing = || $crate::convert::WireError::new($crate::convert::Fault::Missing);
                $crate::convert::Message::from_wire(wire.ok_or_else(missing)?)
            }
        }
    };
}

/// An enumeration whose values have the same names on both sides.
macro_rules! enumeration {
    ($core:ident => $wire:ident { $($value:ident),* $(,)? }) => {
        impl $crate::convert::Wire<Option<i32>> for $core {
            fn put(&self) -> Option<i32> {
                Some(match self { $($core::$value => $crate::v1::$wire::$value as i32),* })
            }
            fn take(wire: Option<i32>) -> Result<Self, $crate::convert::WireError> {
                use $crate::convert::{Fault, WireError};
                let came = wire.ok_or_else(|| WireError::new(Fault::Missing))?;
                match $crate::v1::$wire::try_from(came) {
                    $(Ok($crate::v1::$wire::$value) => Ok($core::$value),)*
                    Ok($crate::v1::$wire::Unspecified) | Err(_) => {
                        Err(WireError::new(Fault::UnknownValue { came }))
                    }
                }
            }
        }
    };
}

/// A list of messages, with its bound.
macro_rules! list {
    ($core:ty => $wire:ident, at most $max:expr) => {
        impl $crate::convert::Wire<Vec<$crate::v1::$wire>> for Vec<$core> {
            fn put(&self) -> Vec<$crate::v1::$wire> {
                self.iter().map($crate::convert::Message::to_wire).collect()
            }
            fn take(wire: Vec<$crate::v1::$wire>) -> Result<Self, $crate::convert::WireError> {
                $crate::convert::scalar::list(wire, $max, $crate::convert::Message::from_wire)
            }
        }
    };
}

pub(crate) use {choice, enumeration, fields, list, optional};
