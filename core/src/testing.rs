//! What unit tests share.

use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::Value;

use crate::approval::EmailAddress;

/// `ann` for `ann@example.com`.
pub(crate) fn address(name: &str) -> EmailAddress {
    format!("{name}@example.com").parse().expect("an address")
}

pub(crate) fn addresses(names: &[&str]) -> Vec<EmailAddress> {
    names.iter().map(|name| address(name)).collect()
}

/// A compiled JSON Schema.
pub(crate) struct Schema {
    schemas: Schemas,
    index: SchemaIndex,
}

impl Schema {
    pub(crate) fn new(schema: Value) -> Self {
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        compiler.add_resource("schema.json", schema).expect("a schema");
        let index = compiler.compile("schema.json", &mut schemas).expect("a schema");
        Self { schemas, index }
    }

    /// Why a value does not follow it.
    pub(crate) fn errors(&self, value: &Value) -> Option<String> {
        self.schemas.validate(value, self.index).err().map(|error| format!("{error:#}"))
    }
}
