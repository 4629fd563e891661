//! Protobuf wire format: fields, varints, nesting limit.
