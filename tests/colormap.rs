//! The page's colours are those of the command line.

#[test]
fn the_packages_inferno_is_colorous_inferno() {
    let hex: String = (0..256)
        .map(|index| {
            let color = colorous::INFERNO.eval_rational(index, 256);
            format!("{:02x}{:02x}{:02x}", color.r, color.g, color.b)
        })
        .collect();
    let source = include_str!("../pkg-template/src/colormap.ts");
    assert!(source.contains(&format!("\"{hex}\"")), "pkg-template/src/colormap.ts should hold {hex}");
}
