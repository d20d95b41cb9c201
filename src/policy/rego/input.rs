//! What a policy is given as `input`: made of a view alone, so that the same view always has the same verdict.
//!
//! Either kind of review is presented to either kind of policy. What an ImageReview does not say (user, labels, names) is
//! absent from the Pod that it is presented as, but for names, which it has to have.

use regorus::Value;

use super::helpers::UNNAMED;

/// The document that a policy was written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// `input.request.object`.
    AdmissionReview,
    /// `input.spec.containers`, `input.spec.annotations`, `input.spec.namespace`.
    ImageReview,
    /// `input` is the object itself, as conftest has it.
    Object,
}

/// Which view an input is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    Image,
    Object,
}

/// A review has one; a policy is not told it, since it is another each time.
const UID: &str = "00000000-0000-0000-0000-000000000000";

// === impl Form ===

impl Form {
    /// What a policy reads that names these paths of `data` and `input`. `names_image_review`: its text has the word.
    pub fn detect(paths: &[Vec<String>], names_image_review: bool) -> Self {
        let of_input = || paths.iter().filter(|path| path[0] == "input");
        let step = |path: &Vec<String>, number: usize| path.get(number).cloned().unwrap_or_default();
        let reads_request = of_input().any(|path| matches!(step(path, 1).as_str(), "request" | "review"));
        // So do the helpers that make `data.k8s` of it.
        if reads_request || !of_input().any(|path| path.len() > 1) {
            return Self::AdmissionReview;
        }
        let is_of_image_review = |path: &Vec<String>| match step(path, 1).as_str() {
            "spec" => matches!(step(path, 2).as_str(), "" | "containers" | "annotations" | "namespace"),
            "kind" | "apiVersion" => names_image_review,
            step => step.is_empty(),
        };
        if of_input().all(is_of_image_review) { Self::ImageReview } else { Self::Object }
    }

    /// The view that it is made of for a review with, or without, an object.
    pub fn view(self, has_object: bool) -> View {
        match self {
            Self::ImageReview => View::Image,
            Self::AdmissionReview | Self::Object if has_object => View::Object,
            Self::AdmissionReview | Self::Object => View::Image,
        }
    }

    /// Whether the policy is shown another document than the one that came.
    pub fn is_presented(self, has_object: bool) -> bool {
        (self == Self::ImageReview) == has_object
    }

    /// The input that a view makes; `None` where the view has nothing that it could judge.
    pub fn of(self, view: View, value: &Value) -> Option<Value> {
        match (self, view) {
            (Self::ImageReview, _) => image_review(value),
            (Self::AdmissionReview, View::Image) => pod(value).map(|pod| admission_review(pod_request(value, pod))),
            (Self::AdmissionReview, View::Object) => Some(admission_review(request(value))),
            (Self::Object, View::Image) => pod(value),
            (Self::Object, View::Object) => Some(value["object"].clone()).filter(|object| *object != Value::Null),
        }
    }
}

/// A view in its canonical encoding.
///
/// # Errors
/// It is nested deeper than the engine reads.
pub fn read(encoded: &str) -> Result<Value, String> {
    Value::from_json_str(encoded).map_err(|error| format!("the review cannot be read by the engine: {error}"))
}

/// The AdmissionRequest of an object view, as far as that says.
pub fn request(view: &Value) -> Value {
    let image = &view["image"];
    let mut request = object([
        ("uid", UID.into()),
        ("kind", kind(view, "kind", &view["kind"])),
        ("resource", kind(view, "resource", &view["resource"])),
        ("operation", image["operation"].clone()),
        ("object", view["object"].clone()),
        ("oldObject", view["oldObject"].clone()),
    ]);
    let user = present([("username", &view["user"]), ("groups", &view["groups"])]);
    let given = [("name", &view["name"]), ("namespace", &image["namespace"]), ("subResource", &image["subresource"])];
    for (name, value) in given.into_iter().chain([("userInfo", &user)]) {
        set(&mut request, name, value);
    }
    request
}

/// The AdmissionRequest that would bring the Pod of an ImageReview.
pub fn pod_request(view: &Value, pod: Value) -> Value {
    let mut request = object([
        ("uid", UID.into()),
        ("kind", object([("group", "".into()), ("version", "v1".into()), ("kind", "Pod".into())])),
        ("resource", object([("group", "".into()), ("version", "v1".into()), ("resource", "pods".into())])),
        ("operation", view["operation"].clone()),
        ("object", pod),
        ("oldObject", Value::Null),
    ]);
    set(&mut request, "name", &UNNAMED.into());
    set(&mut request, "namespace", &view["namespace"]);
    request
}

/// The AdmissionReview of that request under the uid `uid`, for the image view `encoded`; `None` where that has no image.
pub fn pod_review(encoded: &str, uid: &str) -> Option<String> {
    let view = Value::from_json_str(encoded).ok()?;
    let mut request = pod_request(&view, pod(&view)?);
    set(&mut request, "uid", &uid.into());
    admission_review(request).to_json_str().ok()
}

/// A Pod of the images of an image view, for all that is known; `None` where it has no image.
pub fn pod(view: &Value) -> Option<Value> {
    let containers = containers(view, true)?;
    let mut metadata = object([("name", UNNAMED.into())]);
    set(&mut metadata, "annotations", &annotations(view));
    set(&mut metadata, "namespace", &view["namespace"]);
    Some(object([
        ("apiVersion", "v1".into()),
        ("kind", "Pod".into()),
        ("metadata", metadata),
        ("spec", object([("containers", containers)])),
    ]))
}

fn admission_review(request: Value) -> Value {
    object([("apiVersion", "admission.k8s.io/v1".into()), ("kind", "AdmissionReview".into()), ("request", request)])
}

fn image_review(view: &Value) -> Option<Value> {
    // An image view stands alone, or in an object view.
    let image = if view["image"] == Value::Undefined { view } else { &view["image"] };
    let mut spec = object([("containers", containers(image, false)?)]);
    set(&mut spec, "annotations", &annotations(image));
    set(&mut spec, "namespace", &image["namespace"]);
    Some(object([("apiVersion", "imagepolicy.k8s.io/v1alpha1".into()), ("kind", "ImageReview".into()), ("spec", spec)]))
}

/// `named`: each has a name, as a pod's containers have, or what is said of one would be undefined.
fn containers(view: &Value, named: bool) -> Option<Value> {
    let images = view["images"].as_array().ok()?;
    let container = |(at, image): (usize, &Value)| {
        let mut container = object([("image", image["text"].clone())]);
        if named {
            set(&mut container, "name", &format!("{UNNAMED}-{}", at + 1).into());
        }
        container
    };
    let containers: Vec<Value> = images.iter().enumerate().map(container).collect();
    (!containers.is_empty()).then(|| containers.into())
}

/// Absent where there are none.
fn annotations(view: &Value) -> Value {
    let annotations = &view["annotations"];
    let some = annotations.as_object().is_ok_and(|annotations| !annotations.is_empty());
    if some { annotations.clone() } else { Value::Null }
}

fn kind(view: &Value, name: &str, value: &Value) -> Value {
    let mut kind = Value::new_object();
    for (name, value) in [("group", &view["group"]), ("version", &view["version"]), (name, value)] {
        set(&mut kind, name, value);
    }
    kind
}

fn present<const N: usize>(fields: [(&str, &Value); N]) -> Value {
    let mut object = Value::new_object();
    for (name, value) in fields {
        set(&mut object, name, value);
    }
    if object == Value::new_object() { Value::Null } else { object }
}

fn object<const N: usize>(fields: [(&str, Value); N]) -> Value {
    let fields: std::collections::BTreeMap<Value, Value> =
        fields.into_iter().map(|(name, value)| (name.into(), value)).collect();
    fields.into()
}

/// What is null or absent is left out.
fn set(object: &mut Value, name: &str, value: &Value) {
    if matches!(value, Value::Null | Value::Undefined) {
        return;
    }
    if let Ok(object) = object.as_object_mut() {
        object.insert(name.into(), value.clone());
    }
}
