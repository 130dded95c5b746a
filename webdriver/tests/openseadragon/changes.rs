//! What becomes of objects whose image, model, connection or viewer is gone.

use anyhow::{Result, ensure};
use serde_json::json;

use super::page::{ENCODE_LIMIT, Viewer};
use super::places::{count, features, heart};

pub async fn changes(viewer: &Viewer) -> Result<()> {
    let [from, to] = heart();
    // The image changes while a box of it is encoded: nothing of it comes, and the next image is answered.
    viewer.script("window.before = events.results.length; viewer.world.getItemAt(0)").await?;
    let before = viewer.results().await?;
    viewer.drag((from.0 - 40.0, from.1 - 40.0), (to.0 + 40.0, to.1 + 40.0)).await?;
    viewer
        .script(&format!(
            "window.other = new Promise((done) => viewer.addOnceHandler('open', done)); viewer.open('{}/other.dzi')",
            viewer.address
        ))
        .await?;
    viewer.promise("await other; return {}").await?;
    ensure!(count(viewer).await? == 0 && features(viewer).await?.is_empty(), "objects of an image that was closed");
    viewer.settle().await?;
    viewer.draw(from, to).await?;
    let place = viewer.check("a box in the next image").await?;
    let answers = format!("return events.results.slice({before}).every(({{ place }}) => place.tiledImage === image())");
    ensure!(viewer.script(&answers).await? == true, "an answer of the image before: {place}");

    // What is in view is encoded after a box that came before it was.
    let script = format!(
        "connection.dispose();
         window.encodes = 0;
         const {{ encode }} = model;
         model.encode = (...asked) => {{ encodes++; return encode.apply(model, asked); }};
         window.connection = connect({{ OpenSeadragon, viewer, model }}, {{ uncertainty: {{ samples: 0 }} }});
         listen(connection);
         const {{ x, y }} = image().imageToViewerElementCoordinates(new OpenSeadragon.Point({}, {}));
         viewer.raiseEvent('canvas-press', {{ position: {{ x, y }}, originalEvent: {{}} }});
         viewer.raiseEvent('canvas-release', {{ position: {{ x: x + 20, y: y + 20 }}, originalEvent: {{}} }})",
        from.0, from.1
    );
    viewer.script(&script).await?;
    viewer.page.wait_for("the box's part and the view", "return encodes === 2", ENCODE_LIMIT).await?;
    ensure!(viewer.script("delete model.encode; return events.results.length").await? == 1);

    // A person's own picture, in memory, through the file button; accepted masks are Annotorious's too.
    let script = "connection.dispose();
        window.annotations = [];
        const annotorious = { addAnnotation: (annotation) => annotations.push(annotation) };
        window.connection = connect({ OpenSeadragon, viewer, model }, { annotorious, overlay: 'none', preEncode: false });
        listen(connection);
        window.other = new Promise((done) => viewer.addOnceHandler('open', done))";
    viewer.script(script).await?;
    viewer.page.open_file(&viewer.folder.join("own.png")).await?;
    viewer.promise("await other; return {}").await?;
    viewer.settle().await?;
    viewer.draw((130.0, 120.0), (300.0, 290.0)).await?;
    let place = viewer.script("return placed()").await?;
    ensure!(place["width"] == 600 && place["height"] == 500 && place["pixelSize"] == 1.0, "{place}");
    let found = viewer.promise(&format!("return compare('{}/own.png')", viewer.address)).await?;
    ensure!(found["differing"] == 0 && found["inside"].as_u64() > Some(200), "an own picture: {found}");
    ensure!(viewer.script("return overlay().hasHeat").await? == false, "no overlay was wanted");
    viewer.script("connection.accept()").await?;
    viewer.page.wait_for("the annotation", "return annotations.length === 1", 10).await?;
    let script = "const [{ target }] = annotations; const { selector } = target; const [feature] = connection.features();
        const { points, polygons: all } = selector.geometry;
        const polygons = selector.type === 'POLYGON' ? [[points]] : all.map(({ rings }) => rings.map(({ points }) => points));
        const coordinates = feature.geometry.type === 'Polygon' ? [feature.geometry.coordinates] : feature.geometry.coordinates;
        const { minX, minY, maxX, maxY } = selector.geometry.bounds;
        const xs = polygons.flat(2).map(([x]) => x); const ys = polygons.flat(2).map(([, y]) => y);
        return [JSON.stringify(coordinates.map((rings) => rings.map((ring) => ring.slice(0, -1)))) === JSON.stringify(polygons),
          target.annotation === feature.id, minX === Math.min(...xs) && maxX === Math.max(...xs) && minY === Math.min(...ys) && maxY === Math.max(...ys)]";
    ensure!(viewer.script(script).await? == json!([true, true, true]), "the annotation is not the feature");

    // Disposed of during an encode: no element, no handler, no event is left, and the viewer has its mouse.
    let clean = viewer.script("connection.dispose(); return left()").await?;
    viewer.script("window.connection = connect({ OpenSeadragon, viewer, model }); listen(connection)").await?;
    ensure!(viewer.script("return left()").await? != clean, "the check sees nothing");
    viewer.drag((130.0, 120.0), (260.0, 260.0)).await?;
    viewer.page.wait_for("work", "return events.busy.at(-1) === true || events.results.length > 0", 10).await?;
    viewer.script("connection.dispose(); connection.dispose(); window.count = events.results.length").await?;
    ensure!(viewer.script("return left()").await? == clean, "something is left");
    ensure!(clean["elements"] == 0 && clean["overlays"] == 0, "{clean}");
    viewer.drag((200.0, 200.0), (240.0, 240.0)).await?;
    viewer.promise("await new Promise((done) => setTimeout(done, 1000)); return {}").await?;
    ensure!(viewer.script("return events.results.length === window.count && document.querySelectorAll('[class^=umedsam]').length === 0").await? == true);

    // A model that was disposed of is an error in words; so is an option that is none. A viewer that is destroyed takes the connection with it.
    let script = "window.connection = connect({ OpenSeadragon, viewer, model }, { preEncode: false }); listen(connection); model.dispose()";
    viewer.script(script).await?;
    viewer.drag((120.0, 120.0), (260.0, 260.0)).await?;
    viewer.page.wait_for("an error", "return events.errors.length === 1 && 'error' !== ''", 20).await?;
    let errors = viewer.script("return events.errors").await?;
    ensure!(errors[0].as_str().is_some_and(|text| text.starts_with("disposed")), "{errors}");
    ensure!(count(viewer).await? == 0, "a box without an answer is left");
    let script = "try { connect({ OpenSeadragon, viewer, model }, { regionSize: 7 }) } catch ({ code, message }) { return `${code}: ${message}` }";
    let error = viewer.script(script).await?;
    ensure!(error == "invalid-option: regionSize is 7; use a number from 64 to 4096", "{error}");
    viewer.script("viewer.destroy(); connection.dispose(); connection.setActive(true); connection.features()").await?;
    Ok(())
}
