use ironbound::attack::Pgd;
use ironbound::{Dataset, Evaluation, Model, ModelOptions, Norm, Preprocessing, Report, Threat};
mod common;

#[test]
fn try_it() {
    let (Some(model), Some(data)) = (common::shared("reference/models/gtsrb_qconv30.onnx"), common::shared("reference/data/gtsrb_test_30.npz")) else { return };
    let arrays = common::npz::read(&data);
    println!("{:?}", arrays.iter().map(|(k, v)| (k, &v.shape)).collect::<Vec<_>>());
    let data = Dataset::from_npz(&data).unwrap().subset(0, Some(60)).unwrap();
    for through in [&[][..], &["Sign"]] {
        let straight_through = through.iter().map(|entry| (*entry).into()).collect();
        let preprocessing = Preprocessing { std: vec![0.003_921_568_627_450_98], ..Preprocessing::default() };
        let model = Model::load_with(&model, &ModelOptions { straight_through, preprocessing, ..ModelOptions::default() }).unwrap();
        println!("{:?}", model.gradient_cuts());
        for eps in [1.0 / 255.0, 3.0 / 255.0, 8.0/255.0] {
            let results = Evaluation::new(&model, &data)
                .threat(Threat::new(Norm::Linf, eps))
                .attack(Pgd { loss: ironbound::LossKind::Margin, ..Pgd::default() })
                .run()
                .unwrap();
            let report = Report::new(&results);
            println!("{eps} {} {:?}", report.clean.correct.iter().filter(|x| **x).count(), report.attacks[0].robust_accuracy);
        }
    }
}
