//! Graphs with one planted fault each.

use serde_json::{Value, json};

use super::*;

/// A package with dependencies as (name, kind, features).
fn package(name: &str, dependencies: &[(&str, Option<&str>, &[&str])]) -> Value {
    let dependencies: Vec<_> = dependencies
        .iter()
        .map(|(name, kind, features)| json!({"name": name, "kind": kind, "features": features}))
        .collect();
    json!({
        "id": name, "name": name, "manifest_path": format!("/nowhere/{name}/Cargo.toml"),
        "dependencies": dependencies, "features": {}, "targets": [],
    })
}

/// A graph whose edges are what the packages state; those named `chrono-*` or `xtask` are members.
fn graph(packages: &[Value]) -> Metadata {
    let name = |package: &Value| package["name"].as_str().unwrap().to_owned();
    let is_member = |name: &String| name.starts_with("chrono-") || name == "xtask";
    let nodes: Vec<_> = packages
        .iter()
        .map(|package| {
            let deps = package["dependencies"].as_array().unwrap().iter().map(|dependency| {
                json!({"pkg": dependency["name"], "dep_kinds": [{"kind": dependency["kind"]}]})
            });
            json!({"id": package["id"], "deps": deps.collect::<Vec<_>>()})
        })
        .collect();
    serde_json::from_value(json!({
        "workspace_root": "/nowhere",
        "workspace_members": packages.iter().map(name).filter(is_member).collect::<Vec<_>>(),
        "packages": packages,
        "resolve": {"nodes": nodes},
    }))
    .unwrap()
}

fn rules(packages: &[Value]) -> Vec<&'static str> {
    check(&graph(packages)).iter().map(Finding::rule).collect()
}

#[test]
fn every_arrow_in_the_table_points_down() {
    for (height, (name, below)) in LAYERS.iter().enumerate() {
        for lower in *below {
            let lower_height = LAYERS.iter().position(|(layer, _)| layer == lower);
            assert!(lower_height.is_some_and(|lower| lower < height), "{name} -> {lower}");
        }
    }
}

#[test]
fn the_house_as_designed_has_no_finding() {
    let packages = [
        package("chrono-domain", &[("time", None, &[])]),
        package("chrono-client", &[("chrono-domain", None, &[]), ("hyper", None, &[])]),
        package("chrono-testkit", &[("chrono-domain", None, &[]), ("chrono-client", None, &[])]),
        package(
            "chrono-storage",
            &[
                ("chrono-domain", None, &[]),
                ("rusqlite", None, &[]),
                ("chrono-storage", Some("dev"), &["sqlite"]),
                ("chrono-testkit", Some("dev"), &[]),
            ],
        ),
        package(
            "chrono-ingest",
            &[("chrono-storage", None, &[]), ("chrono-storage", Some("dev"), &["model"])],
        ),
        package("chrono-api", &[("chrono-storage", None, &["sqlite"]), ("hyper", None, &[])]),
    ];
    assert!(rules(&packages).is_empty());
}

#[test]
fn sees_an_arrow_that_points_up_or_sideways() {
    for (from, to) in [
        ("chrono-storage", "chrono-query"),
        ("chrono-ingest", "chrono-query"),
        ("chrono-worker", "chrono-ingest"),
        ("chrono-testkit", "chrono-storage"),
        ("chrono-api", "chrono-testkit"),
    ] {
        let found = rules(&[package(from, &[(to, None, &[])]), package(to, &[])]);
        assert_eq!(found, ["arrows-point-down"], "{from} -> {to}");
    }
}

#[test]
fn sees_a_test_that_reaches_up() {
    for (from, to) in [("chrono-domain", "chrono-testkit"), ("chrono-query", "chrono-api")] {
        let found = rules(&[package(from, &[(to, Some("dev"), &[])]), package(to, &[])]);
        assert_eq!(found, ["arrows-point-down"], "{from} -> {to}");
    }
}

#[test]
fn sees_a_crate_without_a_layer() {
    assert_eq!(rules(&[package("chrono-more", &[])]), ["layered"]);
}

#[test]
fn sees_a_backend_library_outside_its_crate() {
    for (library, from) in [
        ("rusqlite", "chrono-api"),
        ("tokio-postgres", "chrono-worker"),
        ("moka", "chrono-storage"),
        ("fred", "chrono-auth"),
    ] {
        assert_eq!(rules(&[package(from, &[(library, None, &[])])]), ["wrapped"], "{library}");
    }
}

#[test]
fn sees_a_use_case_that_knows_http_or_chooses_a_backend() {
    for dependency in [
        ("hyper", None, &[][..]),
        ("tokio-tungstenite", None, &[]),
        ("chrono-storage", None, &["sqlite"]),
        ("chrono-cache", None, &["memory"]),
        ("chrono-storage", None, &["model"]),
    ] {
        assert_eq!(rules(&[package("chrono-stream", &[dependency])]), ["use-case"]);
    }
}

#[test]
fn sees_io_however_far_below_the_domain() {
    let packages = [
        package("chrono-domain", &[("innocent", None, &[]), ("proptest", Some("dev"), &[])]),
        package("innocent", &[("tokio", None, &[])]),
        package("proptest", &[("tempfile", None, &[])]),
        package("tokio", &[]),
        package("tempfile", &[]),
    ];
    assert_eq!(rules(&packages), ["unreached"]);
    let packages = [package("xtask", &[("tokio", None, &[])]), package("tokio", &[])];
    assert_eq!(rules(&packages), ["unreached"]);
}

#[test]
fn sees_the_date_crate_anywhere() {
    assert_eq!(rules(&[package("chrono", &[])]), ["no-date-crate"]);
}

#[test]
fn names_the_line_of_the_section_of_its_kind() {
    let manifest = "[package]\nname = \"a\"\n\n[dependencies]\nhyper-util = \"1\"\nhyper.workspace = true\n\n[dev-dependencies]\nhyper = { workspace = true }\n";
    let line = |kind: Option<&str>| {
        let kind = kind.map(str::to_owned);
        line_of(manifest, &Dependency { name: "hyper".into(), kind, features: Vec::new() })
    };
    assert_eq!((line(None), line(Some("dev")), line(Some("build"))), (6, 9, 1));
}
