//! Reviews for load: as a real API server wrote them, of a given size, each of another pod.

use bytes::Bytes;

use crate::harness::reviews::fixture;

/// How many different ones there are: more than any cache line, fewer than would fill the memory of the generator.
const PODS: usize = 512;
/// Sets of images among them: pods of one Deployment share theirs.
const IMAGES: usize = 40;

/// AdmissionReviews v1 that create a pod, of about `bytes` each.
pub fn of_about(bytes: usize) -> Vec<Bytes> {
    let capture = fixture("002-admission-v1-create-pod.json");
    let capture = std::str::from_utf8(&capture).expect("JSON");
    (0..PODS).map(|pod| review(capture, pod, bytes).into()).collect()
}

fn review(capture: &str, pod: usize, bytes: usize) -> String {
    let mut review = capture
        .replace("3d0cef2f-2da2-4fcf-9257-f39145515a60", &format!("3d0cef2f-2da2-4fcf-9257-{pod:012x}"))
        .replace("two-images", &format!("web-{pod:05}"))
        .replace("myrepo/myimage:v1", &format!("registry.acmecorp.com/team-{}/web:v1", pod % IMAGES));
    let (mut at, mut number) = (review.find("\"containers\":[").expect("a pod") + "\"containers\":[".len(), 0);
    while review.len() + 600 < bytes {
        let more = container(number);
        review.insert_str(at, &more);
        at += more.len();
        number += 1;
    }
    review
}

/// One more container, with what a team's chart gives it.
fn container(number: usize) -> String {
    let variables: Vec<String> = (0..8)
        .map(|variable| format!(r#"{{"name":"SETTING_{variable}","value":"of container {number} it is {variable}"}}"#))
        .collect();
    format!(
        concat!(
            r#"{{"name":"side-{}","image":"registry.acmecorp.com/platform/side-{}:2.{}","env":[{}],"#,
            r#""resources":{{"limits":{{"cpu":"250m","memory":"128Mi"}},"requests":{{"cpu":"50m","memory":"64Mi"}}}},"#,
            r#""volumeMounts":[{{"name":"config","mountPath":"/etc/side"}}],"#,
            r#""terminationMessagePath":"/dev/termination-log","terminationMessagePolicy":"File","#,
            r#""imagePullPolicy":"IfNotPresent"}},"#
        ),
        number,
        number,
        number,
        variables.join(",")
    )
}
