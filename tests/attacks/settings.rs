//! Parameters: their names, their checks, and what a user reads when they are wrong.

use std::sync::Arc;

use ironbound::attack::{
    AnyAttack, Apgd, ApgdT, AttackSpec, BoundaryAttack, Fgsm, GeoDa, HopSkipJump, Jsma, MiFgsm,
    Nes, Noise, Pgd, PgdT, Simba, Spsa, Square, Zoo,
};
use ironbound::{
    Bounds, Budget, Domain, Goal, LossKind, Margin, ModelInfo, Monotone, Norm, Threat,
};
use serde_json::json;

fn refused(text: &str) -> String {
    text.parse::<AttackSpec>().unwrap_err().to_string()
}

fn quoted_ids() -> String {
    let ids: Vec<_> = AttackSpec::IDS.iter().map(|id| format!("`{id}`")).collect();
    ids.join(", ")
}

#[test]
fn command_lines_name_attacks_and_parameters() {
    let attack: AttackSpec =
        "pgd:steps=7, restarts=2,loss=margin,rel_step=8/255,early_stop=false".parse().unwrap();
    let AttackSpec::Pgd(pgd) = &attack else { panic!("{attack:?}") };
    assert_eq!((pgd.steps, pgd.restarts, pgd.early_stop), (7, 2, false));
    assert!(matches!(pgd.loss, LossKind::Margin));
    assert_eq!(pgd.rel_step, Some(8.0 / 255.0));
    assert_eq!(attack.params()["momentum"], 0.0, "defaults are on record");
    for id in AttackSpec::IDS {
        let attack: AttackSpec = id.parse().unwrap();
        assert_eq!((attack.id(), format!("{id}:").parse::<AttackSpec>().unwrap().id()), (*id, *id));
    }
    assert_eq!(
        "noise:kind=salt-and-pepper,draws=3".parse::<AttackSpec>().unwrap().access(),
        "blind"
    );
    let AttackSpec::Apgd(apgd) = "apgd:loss=dlr,steps=50,rho=3/4".parse().unwrap() else {
        panic!("another attack")
    };
    assert!(matches!(apgd.loss, LossKind::Dlr) && apgd.steps == 50 && apgd.rho == 0.75);
    let quick: AttackSpec = "autoattack:version=quick".parse().unwrap();
    assert_eq!(quick.params()["version"], "quick");
    assert_eq!("fgsm:rel_step=1".parse::<AttackSpec>().unwrap().params()["rel_step"], 1.0);
}

#[test]
fn command_line_errors_say_what_is_possible() {
    let ids = quoted_ids();
    assert_eq!(refused("pdg"), format!("unknown attack `pdg`, expected one of {ids}"));
    let unknown = refused("pgd:stepz=3");
    assert!(
        unknown.starts_with(
            "`pgd:stepz` is 3: unknown field `stepz`, expected one of `steps`, `step`"
        ),
        "{unknown}"
    );
    let wrong = refused("pgd:restarts=2,steps=many");
    assert!(
        wrong.starts_with("`pgd:steps` is many: ") && wrong.contains("expected usize"),
        "{wrong}"
    );
    let negative = refused("pgd:steps=-3");
    assert!(negative.starts_with("`pgd:steps` is -3: "), "{negative}");
    let variant = refused("pgd:loss=hinge");
    for name in ["`cross-entropy`", "`ce`", "`dlr`", "`dlr-t`", "`logit`", "`margin`"] {
        assert!(variant.contains(name), "{variant}");
    }
    assert_eq!(refused("pgd:steps"), "`pgd` is steps: expected parameter=value");
    assert_eq!(refused("pgd:steps=1,steps=2"), "`pgd:steps` is 2: given twice");
    assert!(refused("pgd:rel_step=1/0").starts_with("`pgd:rel_step` is 1/0: "));
    for text in ["pdg", "pgd:stepz=3", "pgd:steps=many", "noise:kind=pink"] {
        assert!(!refused(text).contains('\n'));
    }
}

#[test]
fn configuration_files_say_the_same() {
    let attack: AttackSpec = serde_json::from_value(json!({"attack": "pgd", "steps": 3})).unwrap();
    assert_eq!(attack.params()["steps"], 3);
    let stored = serde_json::to_value(&attack).unwrap();
    assert_eq!(stored["attack"], "pgd");
    let again: AttackSpec = serde_json::from_value(stored).unwrap();
    assert_eq!(again.params(), attack.params());
    let typo = serde_json::from_value::<AttackSpec>(json!({"attack": "pgd", "stepz": 3}));
    assert!(
        typo.unwrap_err().to_string().contains("unknown field `stepz`, expected one of `steps`")
    );
    let typo = serde_json::from_value::<AttackSpec>(json!({"attack": "pdg"}));
    assert!(typo.unwrap_err().to_string().contains(&format!("expected one of {}", quoted_ids())));
}

#[test]
fn the_table_is_in_order_and_its_defaults_are_valid() {
    assert!(AttackSpec::IDS.is_sorted());
    let all = AttackSpec::all();
    assert_eq!(all.iter().map(AnyAttack::id).collect::<Vec<_>>(), AttackSpec::IDS);
    assert!(all.iter().all(|attack| attack.validate().is_ok()));
    assert_eq!(AttackSpec::from(Noise::default()).id(), "noise");
}

#[test]
fn parameters_out_of_range_are_named() {
    let pgd = Pgd::default();
    let cases: Vec<(&str, Box<dyn AnyAttack>)> = vec![
        ("`steps` is 0", Box::new(Pgd { steps: 0, ..pgd.clone() })),
        ("`restarts` is 0", Box::new(Pgd { restarts: 0, ..pgd.clone() })),
        ("`step` is -1", Box::new(Pgd { step: Some(-1.0), ..pgd.clone() })),
        ("`rel_step` is NaN", Box::new(Pgd { rel_step: Some(f64::NAN), ..pgd.clone() })),
        (
            "`step` is 0.1: `rel_step` is 0.2 as well",
            Box::new(Pgd { step: Some(0.1), rel_step: Some(0.2), ..pgd.clone() }),
        ),
        ("`momentum` is -0.5", Box::new(Pgd { momentum: -0.5, ..pgd.clone() })),
        ("`eot` is 0", Box::new(Pgd { eot: 0, ..pgd })),
        ("`steps` is 0", Box::new(PgdT { steps: 0, ..PgdT::default() })),
        ("`classes` is 0", Box::new(PgdT { classes: 0, ..PgdT::default() })),
        ("`rel_step` is 0", Box::new(PgdT { rel_step: Some(0.0), ..PgdT::default() })),
        ("`momentum` is 2", Box::new(PgdT { momentum: 2.0, ..PgdT::default() })),
        ("`steps` is 0", Box::new(MiFgsm { steps: 0, ..MiFgsm::default() })),
        ("`diversity` is 1.5", Box::new(MiFgsm { diversity: 1.5, ..MiFgsm::default() })),
        ("`resize` is NaN", Box::new(MiFgsm { resize: f64::NAN, ..MiFgsm::default() })),
        ("`kernel_size` is 4", Box::new(MiFgsm { kernel_size: 4, ..MiFgsm::default() })),
        ("`reach` is 0", Box::new(MiFgsm { reach: 0.0, ..MiFgsm::default() })),
        ("`theta` is 0", Box::new(Jsma { theta: 0.0, ..Jsma::default() })),
        ("`max_share` is 2", Box::new(Jsma { max_share: 2.0, ..Jsma::default() })),
        (
            "`momentum` is 0: expected a number above 0: `nesterov`",
            Box::new(MiFgsm { momentum: 0.0, nesterov: true, ..MiFgsm::default() }),
        ),
        ("`rel_step` is inf", Box::new(Fgsm { rel_step: f64::INFINITY, ..Fgsm::default() })),
        ("`steps` is 0", Box::new(Apgd { steps: 0, ..Apgd::default() })),
        ("`restarts` is 0", Box::new(ApgdT { restarts: 0, ..ApgdT::default() })),
        ("`classes` is 0", Box::new(ApgdT { classes: 0, ..ApgdT::default() })),
        ("`eot` is 0", Box::new(Apgd { eot: 0, ..Apgd::default() })),
        ("`rho` is 1.5", Box::new(Apgd { rho: 1.5, ..Apgd::default() })),
        ("`rho` is NaN", Box::new(ApgdT { rho: f64::NAN, ..ApgdT::default() })),
        ("`draws` is 0", Box::new(Noise { draws: 0, ..Noise::default() })),
        ("`queries` is 0", Box::new(Square { queries: 0, ..Square::default() })),
        ("`restarts` is 0", Box::new(Square { restarts: 0, ..Square::default() })),
        ("`p_init` is 0", Box::new(Square { p_init: 0.0, ..Square::default() })),
        ("`p_init` is NaN", Box::new(Square { p_init: f64::NAN, ..Square::default() })),
        ("`p_init` is 1.5", Box::new(Square { p_init: 1.5, ..Square::default() })),
        ("`steps` is 0", Box::new(Simba { steps: 0, ..Simba::default() })),
        ("`step` is 0", Box::new(Simba { step: 0.0, ..Simba::default() })),
        ("`frequencies` is 2", Box::new(Simba { frequencies: 2.0, ..Simba::default() })),
        ("`queries` is 0", Box::new(HopSkipJump { queries: 0, ..HopSkipJump::default() })),
        ("`points` is 0", Box::new(HopSkipJump { points: 0, ..HopSkipJump::default() })),
        ("`starts` is 0", Box::new(HopSkipJump { starts: 0, ..HopSkipJump::default() })),
        ("`queries` is 0", Box::new(BoundaryAttack { queries: 0, ..BoundaryAttack::default() })),
        (
            "`sideways` is 0",
            Box::new(BoundaryAttack { sideways: 0.0, ..BoundaryAttack::default() }),
        ),
        ("`forward` is 2", Box::new(BoundaryAttack { forward: 2.0, ..BoundaryAttack::default() })),
        ("`starts` is 0", Box::new(BoundaryAttack { starts: 0, ..BoundaryAttack::default() })),
        ("`queries` is 0", Box::new(GeoDa { queries: 0, ..GeoDa::default() })),
        ("`rounds` is 0", Box::new(GeoDa { rounds: 0, ..GeoDa::default() })),
        ("`starts` is 0", Box::new(GeoDa { starts: 0, ..GeoDa::default() })),
        ("`steps` is 0", Box::new(Zoo { steps: 0, ..Zoo::default() })),
        ("`searches` is 0", Box::new(Zoo { searches: 0, ..Zoo::default() })),
        ("`c` is -1", Box::new(Zoo { c: -1.0, ..Zoo::default() })),
        ("`rate` is NaN", Box::new(Zoo { rate: f64::NAN, ..Zoo::default() })),
        ("`coordinates` is 0", Box::new(Zoo { coordinates: 0, ..Zoo::default() })),
        ("`delta` is 0", Box::new(Zoo { delta: 0.0, ..Zoo::default() })),
        ("`confidence` is -1", Box::new(Zoo { confidence: -1.0, ..Zoo::default() })),
        ("`steps` is 0", Box::new(Nes { steps: 0, ..Nes::default() })),
        ("`pairs` is 0", Box::new(Nes { pairs: 0, ..Nes::default() })),
        ("`sigma` is -1", Box::new(Nes { sigma: -1.0, ..Nes::default() })),
        ("`rel_step` is inf", Box::new(Nes { rel_step: f64::INFINITY, ..Nes::default() })),
        ("`steps` is 0", Box::new(Spsa { steps: 0, ..Spsa::default() })),
        ("`pairs` is 0", Box::new(Spsa { pairs: 0, ..Spsa::default() })),
        ("`delta` is NaN", Box::new(Spsa { delta: f64::NAN, ..Spsa::default() })),
        ("`step` is 0", Box::new(Spsa { step: 0.0, ..Spsa::default() })),
    ];
    for (expected, attack) in cases {
        let message = attack.validate().unwrap_err().to_string();
        assert!(message.starts_with(expected), "{message}");
    }
}

#[test]
fn losses_are_a_list_or_joined_names() {
    let expected = json!(["cross-entropy", "margin", "dlr"]);
    let attack: AttackSpec = "pgd:losses=ce+margin+dlr".parse().unwrap();
    assert_eq!(attack.params()["losses"], expected);
    let listed = json!({"attack": "pgd", "losses": expected});
    let again: AttackSpec = serde_json::from_value(listed).unwrap();
    assert_eq!(again.params(), attack.params());
    assert_eq!(attack.loss().unwrap().loss().name(), "cross-entropy");
    let message = refused("pgd:losses=ce+margins");
    assert!(
        message.starts_with("`pgd:losses` is ce+margins: unknown variant `margins`"),
        "{message}"
    );
    assert!(refused("pgd:losses=3").contains("a list of losses, or their names joined by +"));
}

#[test]
fn attacks_on_images_want_images() {
    let flat = ModelInfo { shape: vec![9], classes: 4, ..ModelInfo::default() };
    let image = ModelInfo { shape: vec![1, 3, 3], ..flat.clone() };
    for (text, field) in [
        ("mi-fgsm:diversity=0.5", "`diversity` is 0.5: it needs images"),
        ("mi-fgsm:kernel=uniform", "`kernel` is uniform: it needs images"),
    ] {
        let attack: AttackSpec = text.parse().unwrap();
        let message = attack.check_model(&flat).unwrap_err().to_string();
        assert!(message.starts_with(field), "{message}");
        attack.check_model(&image).unwrap();
    }
    "mi-fgsm".parse::<AttackSpec>().unwrap().check_model(&flat).unwrap();
    let two = ModelInfo { classes: 2, ..flat };
    let message = "pgd:losses=ce+dlr".parse::<AttackSpec>().unwrap().check_model(&two);
    assert!(message.unwrap_err().to_string().starts_with("`loss` is dlr"));
}

#[test]
fn a_loss_of_ones_own_is_recorded_by_name() {
    let attack = Pgd { loss: LossKind::Custom(Arc::new(Margin)), ..Pgd::default() };
    assert_eq!(attack.params()["loss"], "margin");
}

#[test]
fn threats_that_do_not_fit_are_refused_by_field() {
    let linf = Threat::new(Norm::Linf, 0.1);
    let (samples, features, classes) = (3, 2, 4);
    let with = |budget| Threat { budget, ..linf.clone() };
    let cases = [
        ("`eps` is -1", Threat::new(Norm::L2, -1.0)),
        ("`eps` is NaN", Threat::new(Norm::L2, f64::NAN)),
        ("`eps` is inf", Threat::new(Norm::L2, f64::INFINITY)),
        (
            "`eps` is 2 long: expected one number per sample of the file, that is 3 or more",
            with(Budget::PerSample(vec![0.1; 2])),
        ),
        ("`eps[1]` is NaN", with(Budget::PerSample(vec![0.1, f64::NAN, 0.1]))),
        (
            "`eps` is 3 long: expected one number per feature, that is 2",
            with(Budget::PerFeature(vec![0.1; 3])),
        ),
        (
            "`eps` is per feature",
            Threat { norm: Norm::L2, ..with(Budget::PerFeature(vec![0.1; 2])) },
        ),
        (
            "`domain.monotone` is 1 long",
            linf.clone()
                .with_domain(Domain { monotone: Some(vec![Monotone::Increase]), ..Domain::ANY }),
        ),
        ("`bounds` is (1, 0)", linf.clone().with_bounds(Bounds::Uniform(1.0, 0.0))),
        ("`bounds` is (NaN, 1)", linf.clone().with_bounds(Bounds::Uniform(f32::NAN, 1.0))),
        ("`bounds` is 1 long", linf.clone().with_bounds(Bounds::PerFeature(vec![(0.0, 1.0)]))),
        (
            "`bounds[1]` is (2, 1)",
            linf.clone().with_bounds(Bounds::PerFeature(vec![(0.0, 1.0), (2.0, 1.0)])),
        ),
        ("`mask` is 1 long", linf.clone().with_mask(vec![true])),
        ("`goal` is 4: the model has 4 classes, 0 to 3", linf.clone().with_goal(Goal::Class(4))),
        (
            "`goal` is kth-likely 4: expected a rank among the other classes, 1 to 3",
            linf.clone().with_goal(Goal::KthLikely(4)),
        ),
        ("`goal` is kth-likely 0", linf.clone().with_goal(Goal::KthLikely(0))),
        ("`goal` is 1 long", linf.clone().with_goal(Goal::PerSample(vec![0]))),
        ("`goal[2]` is 9", linf.clone().with_goal(Goal::PerSample(vec![0, 1, 9]))),
    ];
    for (expected, threat) in cases {
        let message = threat.validate(samples, features, classes).unwrap_err().to_string();
        assert!(message.starts_with(expected), "{message}");
    }
    let fine = [
        linf.clone(),
        linf.clone().with_bounds(Bounds::NONE).with_mask(vec![true, false]),
        Threat::new(Norm::L1, 0.0),
        Threat::new(Norm::L0, 2.0),
        with(Budget::PerFeature(vec![0.0, 1.0])),
        linf.clone().with_goal(Goal::KthLikely(3)),
        linf.clone().with_goal(Goal::EveryOther),
        linf.with_goal(Goal::PerSample(vec![0, 3, 1])),
    ];
    for threat in fine {
        threat.validate(samples, features, classes).unwrap();
    }
}

#[test]
fn threats_are_stored_with_their_infinite_bounds() {
    let half = Bounds::PerFeature(vec![(f32::NEG_INFINITY, 1.0), (0.1, 0.2)]);
    for bounds in [Bounds::NONE, Bounds::default(), half] {
        let threat = Threat::new(Norm::L2, 0.5).with_bounds(bounds);
        let text = serde_json::to_string(&threat).unwrap();
        assert_eq!(serde_json::from_str::<Threat>(&text).unwrap(), threat, "{text}");
    }
    let short: Threat =
        serde_json::from_value(json!({"norm": "linf", "budget": {"scalar": 0.1}})).unwrap();
    assert_eq!(short, Threat::new(Norm::Linf, 0.1));
    let typo = json!({"norm": "linf", "budget": {"scalar": 0.1}, "bound": null});
    assert!(serde_json::from_value::<Threat>(typo).is_err());
}

#[test]
fn budgets_are_numbers_and_fractions() {
    assert_eq!("8/255".parse::<Budget>().unwrap(), Budget::Scalar(8.0 / 255.0));
    assert_eq!(" 0.5 ".parse::<Budget>().unwrap(), Budget::Scalar(0.5));
    for text in ["", "-1", "1/0", "0/0", "nan", "inf", "8/", "1/2/3", "eight"] {
        let message = text.parse::<Budget>().unwrap_err().to_string();
        assert!(message.starts_with(&format!("`eps` is {text}: expected a number")), "{message}");
    }
}
