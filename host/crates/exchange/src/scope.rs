//! What a credential may be used for, checked where it is known: the connection when the request is routed, the operation
//! when it is claimed, the model when the request was read, and again when a policy changed its parameters.

use model::Scope;
use wire::Endpoint;

use crate::refuse::Stop;

/// Whether an endpoint may be asked.
pub(crate) fn check_operation(scope: &Scope, endpoint: &dyn Endpoint) -> Result<(), Stop> {
    let name = endpoint.dialect();
    if !scope.allows_operation(name) {
        return Err(Stop::OutOfScope { what: "operation", name: name.to_owned() });
    }
    if endpoint.raw() && !scope.allows_any_model() {
        return Err(Stop::OutOfScope { what: "model", name: "(none can be told here)".to_owned() });
    }
    Ok(())
}

/// Whether a model may be asked.
pub(crate) fn check_model(scope: &Scope, model: &str) -> Result<(), Stop> {
    if scope.allows_model(model) {
        return Ok(());
    }
    Err(Stop::OutOfScope { what: "model", name: model.to_owned() })
}
