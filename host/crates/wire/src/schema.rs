//! Names of JSON Schema, for the dialects whose tools are described in it.

/// Members of a schema that are schemas by names of somebody's own.
pub(crate) const NAMING: [&str; 5] = ["properties", "patternProperties", "$defs", "definitions", "dependentSchemas"];

/// Whether a name is one that schemas are made of.
pub(crate) fn known(name: &str) -> bool {
    matches!(
        name,
        "properties"
            | "required"
            | "items"
            | "enum"
            | "const"
            | "default"
            | "examples"
            | "additionalProperties"
            | "anyOf"
            | "allOf"
            | "oneOf"
            | "not"
            | "minimum"
            | "maximum"
            | "minLength"
            | "maxLength"
            | "minItems"
            | "maxItems"
            | "pattern"
            | "format"
            | "nullable"
            | "$schema"
            | "$ref"
            | "$defs"
            | "$id"
            | "definitions"
            | "exclusiveMinimum"
            | "exclusiveMaximum"
            | "multipleOf"
            | "uniqueItems"
            | "prefixItems"
            | "patternProperties"
            | "propertyNames"
            | "deprecated"
            | "readOnly"
            | "if"
            | "then"
            | "else"
    )
}
