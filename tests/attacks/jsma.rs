//! JSMA on linear models, whose saliency maps do not change.

use ironbound::attack::{AnyAttack, AttackSpec, Outcome, Sample};
use ironbound::{Aim, Norm, Threat};

use crate::toy::Toy;

/// The lead of class 0, from 0.5 in all features: raised to 1 they take 1.5, 1, 0.5 and 0.05 off it, lowered to 0 the
/// last two 1 each.
const WEIGHTS: [f32; 6] = [-3.0, -2.0, -1.0, -0.1, 2.0, 2.0];

fn run(text: &str, model: &Toy, clean: &[f32], aim: Aim) -> Outcome {
    let (attack, threat) = (text.parse::<AttackSpec>().unwrap(), Threat::new(Norm::L0, 0.0));
    attack.run(&model.session(&threat), &[Sample { id: 0, clean, aim }]).unwrap().remove(0)
}

#[test]
fn the_steepest_pairs_change_until_the_sample_is_broken() {
    for (direction, lead, expected) in [
        ("up", 1.2, Some(vec![0])),
        ("up", 2.0, Some(vec![0, 1])),
        ("up", 2.9, Some(vec![0, 1, 2])),
        ("up", 3.02, Some(vec![0, 1, 2, 3])),
        ("up", 3.2, None),
        ("both", 3.2, Some(vec![0, 1, 4])),
        ("down", 0.9, Some(vec![4])),
        ("down", 1.9, Some(vec![4, 5])),
        ("down", 2.1, None),
    ] {
        let clean = [0.5; 6];
        let model = Toy::linear(WEIGHTS.to_vec(), lead + 1.05, 2);
        for aim in [Aim::untargeted(0), Aim::targeted(0, 1)] {
            let text = format!("jsma:direction={direction},max_share=0.7");
            let outcome = run(&text, &model, &clean, aim);
            let changed = outcome.point.as_deref().filter(|_| outcome.success).map(|point| {
                (0..6)
                    .filter(|&i| point[i] != 0.5)
                    .inspect(|&i| assert!(point[i] % 1.0 == 0.0))
                    .collect()
            });
            let same = |a: &Vec<usize>, b: &Vec<usize>| a.len() == b.len() && a[..1] == b[..1];
            let fits = match (&changed, &expected) {
                (Some(found), Some(expected)) => same(found, expected),
                (found, expected) => found == expected,
            };
            assert!(fits, "{direction} {lead}: {changed:?}, expected {expected:?}");
        }
    }
}

/// Feature 0 raises the target's logit most, and another one more.
#[test]
fn a_pair_that_raises_other_classes_is_passed_over() {
    let weights = [[0.0, 0.0, 0.0], [3.0, -0.5, -0.4], [1.0, 0.9, 0.8]];
    let forward = move |x: &[f32]| -> Vec<f32> {
        let dot = |w: &[f32; 3]| w.iter().zip(x).map(|(w, x)| w * x).sum::<f32>();
        let [a, b, c] = [0, 1, 2].map(|class| dot(&weights[class]));
        vec![a + 2.0, b, c]
    };
    let backward = move |_: &[f32], c: &[f32]| -> Vec<f32> {
        (0..3).map(|i| (0..3).map(|class| weights[class][i] * c[class]).sum()).collect()
    };
    let model = Toy::new(3, 3, forward, backward);
    run("jsma", &model, &[0.0; 3], Aim::targeted(0, 2));
    let asked: Vec<Vec<f32>> = model.calls().into_iter().map(|call| call.inputs).collect();
    assert_eq!(asked, [[0.0; 3], [0.0; 3], [0.0, 1.0, 1.0]]);
}

#[test]
fn the_queries_are_those_of_the_documentation() {
    let far = Toy::linear([WEIGHTS; 5].concat(), 1000.0, 2);
    for (text, pairs) in
        [("jsma", 2), ("jsma:max_share=0.5", 7), ("jsma:theta=0.01,max_share=1", 15)]
    {
        let outcome = run(text, &far, &[0.5; 30], Aim::untargeted(0));
        assert_eq!((outcome.forward, outcome.backward), (2 * pairs + 1, 2 * pairs), "{text}");
    }
    let near = Toy::linear(WEIGHTS.to_vec(), 2.0 + 1.05, 2);
    let outcome = run("jsma", &near, &[0.5; 6], Aim::untargeted(0));
    assert!(outcome.success);
    assert_eq!((outcome.forward, outcome.backward), (5, 2));
}
