"use strict";

// The page to draw on. It prepares a drawing as `digits.py` prepares a picture, step by step and under the same names,
// and then computes what the network computes.

const {shape: SHAPE, sure: SURE, limits: LIMITS, layers: LAYERS} = JSON.parse(element("network").textContent);
const PEN = 44; // pixels of the paper
const MARGIN = 8; // pixels of the paper that stay white, so that its edge shows how bright it is
const STEP = 20; // pixels that an arrow key moves the pen by

function element(id) {
    return document.getElementById(id);
}

function make(tag, parent, properties = {}) {
    return parent.appendChild(Object.assign(document.createElement(tag), properties));
}

// --- from the paper to MNIST's images ------------------------------------------------------------------------------

function readDigits({data, width: side}) {
    const ink = withoutLines(inkOf(data), side);
    if (largestOf(ink) < LIMITS.faintest) return [];
    const digits = split(ink, side);
    return Math.max(...digits.flatMap(({height, width}) => [height, width])) < LIMITS.smallest_digit
        ? [] : digits.map(asMnist);
}

function inkOf(data) {
    const ofByte = Float64Array.from({length: 256}, (_, byte) => Math.abs(byte / 255 - 1));
    let darkest = 255;
    for (let i = 0; i < data.length; i += 4) darkest = Math.min(darkest, data[i]);
    const threshold = Math.min(LIMITS.faintest_ink * ofByte[darkest], ofByte[darkest] / 2);
    const visible = ofByte.map((value) => value < threshold ? 0 : value);
    const ink = new Float64Array(data.length / 4);
    for (let i = 0; i < ink.length; i++) ink[i] = visible[data[4 * i]];
    return ink;
}

function withoutLines(ink, side) {
    for (const [next, along] of [[1, side], [side, 1]]) { // columns, then rows: a step to the next one, and along it
        const isLine = (line) => {
            let count = 0;
            for (let i = 0; i < side; i++) count += ink[line * next + i * along] > 0;
            return count / side > 0.75;
        };
        for (let line = 0; line < side; line++) {
            const first = line;
            while (line < side && isLine(line)) line++;
            if (line === first || line - first > Math.max(3, Math.floor(side / 40))) continue;
            const before = Math.max(first - 1, 0) * next, after = Math.min(line, side - 1) * next;
            for (let i = 0; i < side * (line - first); i++) {
                const place = (i % side) * along;
                ink[(first + Math.floor(i / side)) * next + place] = Math.min(ink[before + place], ink[after + place]);
            }
        }
    }
    return ink;
}

function split(ink, side) {
    const {labels, boxes} = strokes(ink, side);
    const sizes = boxes.map(([top, left, bottom, right]) => Math.max(bottom - top, right - left));
    const largest = Math.max(...sizes);
    const isLarge = sizes.map((size) => size >= LIMITS.speck * largest);
    const isNear = boxes.map((box) => boxes.some((other, i) => isLarge[i] && gap(box, other) < LIMITS.near * largest));
    const order = [...boxes.keys()].filter((i) => isLarge[i] || isNear[i]).sort((i, j) => boxes[i][1] - boxes[j][1]);
    const groups = [];
    for (const stroke of order) {
        const group = groups.at(-1);
        if (group && belongs(around(group.map((i) => boxes[i])), boxes[stroke], largest)) group.push(stroke);
        else groups.push([stroke]);
    }
    return groups.map((group) => {
        const [top, left, bottom, right] = around(group.map((i) => boxes[i]));
        const height = bottom - top, width = right - left, mine = new Set(group);
        const digit = new Float32Array(height * width);
        for (let i = 0; i < digit.length; i++) {
            const pixel = (top + Math.floor(i / width)) * side + left + i % width;
            if (mine.has(labels[pixel])) digit[i] = ink[pixel];
        }
        return {ink: digit, height, width};
    });
}

function gap([top, left, bottom, right], [otherTop, otherLeft, otherBottom, otherRight]) {
    return Math.max(top - otherBottom, otherTop - bottom, left - otherRight, otherLeft - right);
}

function around(boxes) {
    const [tops, lefts, bottoms, rights] = [0, 1, 2, 3].map((i) => boxes.map((box) => box[i]));
    return [Math.min(...tops), Math.min(...lefts), Math.max(...bottoms), Math.max(...rights)];
}

function belongs([groupTop, groupLeft, groupBottom, groupRight], [top, left, bottom, right], largest) {
    const overlap = Math.min(groupRight, right) - Math.max(groupLeft, left);
    const narrower = Math.min(groupRight - groupLeft, right - left);
    const lower = Math.min(bottom - top, groupBottom - groupTop);
    return overlap > 0.3 * narrower || (lower < 0.6 * largest && overlap > -0.15 * largest);
}

function strokes(ink, side) { // connected pixels, diagonals included; the paper's edge is white
    const labels = new Int32Array(ink.length).fill(-1);
    const neighbours = [-side - 1, -side, -side + 1, -1, 1, side - 1, side, side + 1];
    const boxes = [];
    for (let start = 0; start < ink.length; start++) {
        if (!ink[start] || labels[start] >= 0) continue;
        const box = [side, side, 0, 0], waiting = [start];
        labels[start] = boxes.length;
        while (waiting.length) {
            const pixel = waiting.pop(), row = Math.floor(pixel / side), column = pixel % side;
            box[0] = Math.min(box[0], row);
            box[1] = Math.min(box[1], column);
            box[2] = Math.max(box[2], row + 1);
            box[3] = Math.max(box[3], column + 1);
            for (const step of neighbours) {
                if (ink[pixel + step] && labels[pixel + step] < 0) {
                    labels[pixel + step] = boxes.length;
                    waiting.push(pixel + step);
                }
            }
        }
        boxes.push(box);
    }
    return {labels, boxes};
}

function asMnist({ink, height, width}) {
    const scale = Math.min(SHAPE[0] * 20 / 28 / height, SHAPE[1] * 20 / 28 / width);
    const rows = Math.max(1, roundHalfToEven(height * scale)), columns = Math.max(1, roundHalfToEven(width * scale));
    const across = width === columns ? ink : resizedRows(ink, height, width, columns);
    let small = across;
    if (height !== rows) {
        small = swapped(resizedRows(swapped(across, height, columns), columns, height, rows), columns, rows);
    }
    const largest = largestOf(small);
    small = small.map((value) => value / largest);
    const sums = [new Float64Array(rows), new Float64Array(columns)];
    small.forEach((value, i) => {
        sums[0][Math.floor(i / columns)] += value;
        sums[1][i % columns] += value;
    });
    const [top, left] = sums.map((sum, axis) => {
        const total = sum.reduce((a, b) => a + b);
        const centre = sum.reduce((moment, mass, i) => moment + mass * (i + 0.5), 0) / total;
        const shift = Math.ceil(SHAPE[axis] / 2 - centre - LIMITS.half_way);
        return Math.min(Math.max(shift, 0), SHAPE[axis] - sum.length);
    });
    const image = new Uint8Array(SHAPE[0] * SHAPE[1]);
    small.forEach((value, i) => {
        const row = top + Math.floor(i / columns), column = left + i % columns;
        image[row * SHAPE[1] + column] = roundHalfToEven(255 * Math.min(Math.max(value, 0), 1));
    });
    return image;
}

// Pillow's resize with a Hamming window, along the rows (its source: src/libImaging/Resample.c).
function resizedRows(image, height, width, columns) {
    const result = new Float32Array(height * columns), scale = width / columns, support = Math.max(scale, 1);
    for (let column = 0; column < columns; column++) {
        const centre = (column + 0.5) * scale;
        const first = Math.max(0, Math.floor(centre - support + 0.5));
        const end = Math.min(width, Math.floor(centre + support + 0.5));
        const weights = [];
        for (let i = first; i < end; i++) weights.push(hamming((i - centre + 0.5) / support));
        const total = weights.reduce((a, b) => a + b, 0);
        for (let row = 0; row < height; row++) {
            let sum = 0;
            weights.forEach((weight, i) => { sum += image[row * width + first + i] * (weight / total); });
            result[row * columns + column] = sum;
        }
    }
    return result;
}

function hamming(x) {
    x = Math.abs(x);
    if (x === 0) return 1;
    return x >= 1 ? 0 : Math.sin(x * Math.PI) / (x * Math.PI) * (0.54 + 0.46 * Math.cos(x * Math.PI));
}

function swapped(image, height, width) {
    return Float32Array.from(image, (_, i) => image[(i % height) * width + Math.floor(i / height)]);
}

function largestOf(values) {
    let largest = 0;
    for (let i = 0; i < values.length; i++) largest = Math.max(largest, values[i]);
    return largest;
}

function roundHalfToEven(x) { // as NumPy and Python do
    const floor = Math.floor(x);
    return x - floor === 0.5 ? floor + floor % 2 : Math.round(x);
}

// --- the network ---------------------------------------------------------------------------------------------------

// A weight is two characters of base64, the 12 bits of an integer; its unit's scale makes it a number again.
function decoded({weight, scale, bias}) {
    const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const value = new Uint8Array(128);
    [...alphabet].forEach((character, i) => { value[character.charCodeAt(0)] = i; });
    const numbers = Float32Array.from({length: weight.length / 2}, (_, i) =>
        (64 * value[weight.charCodeAt(2 * i)] + value[weight.charCodeAt(2 * i + 1)] - 2048) * scale[i % scale.length]);
    return {weight: numbers, bias, units: bias.length};
}

const [FIRST, SECOND] = LAYERS.map(decoded);

function linear({weight, bias, units}, inputs) {
    const outputs = Float64Array.from(bias);
    inputs.forEach((input, i) => {
        if (input) for (let unit = 0; unit < units; unit++) outputs[unit] += input * weight[i * units + unit];
    });
    return outputs;
}

function predict(image) {
    const hidden = linear(FIRST, Float64Array.from(image, (value) => value / 255)).map((value) => Math.max(value, 0));
    const logits = linear(SECOND, hidden), largest = Math.max(...logits);
    const exponentials = logits.map((logit) => Math.exp(logit - largest));
    const total = exponentials.reduce((a, b) => a + b);
    const probabilities = exponentials.map((value) => value / total);
    const ranking = [...probabilities.keys()].sort((i, j) => probabilities[j] - probabilities[i]);
    return {image, hidden, probabilities, ranking};
}

// --- what is shown -------------------------------------------------------------------------------------------------

const BARS = Array.from({length: SECOND.units}, (_, label) => {
    const row = make("div", element("bars"), {className: "bar"});
    make("span", row, {textContent: label});
    return {row, bar: make("progress", row, {max: 1, value: 0, ariaLabel: `${label}`}), number: make("span", row)};
});

function percent(probability) {
    return `${(100 * probability).toFixed(1)} %`;
}

function sentence({probabilities, ranking: [first, second]}) {
    if (probabilities[first] > 0.9995) return "I am sure (over 99.9 %)."; // not 100.0: it is never certain
    if (probabilities[first] >= SURE) return `I am sure (${percent(probabilities[first])}).`;
    const other = second === undefined ? "" : ` It may also be ${second === 8 ? "an" : "a"} ${second}`
        + ` (${percent(probabilities[second])}).`;
    return `I am not sure (${percent(probabilities[first])}).${other}`;
}

function show(readings, chosen = readings.length - 1) {
    const reading = readings[chosen];
    element("digits").textContent = readings.map(({ranking}) => ranking[0]).join("");
    const which = readings.length > 1 ? `The ${reading.ranking[0]}: ` : "";
    element("sentence").textContent = reading ? which + sentence(reading)
        : `From 0 to ${SECOND.units - 1}, large, as if with a thick felt pen. I read while you draw.`;
    BARS.forEach(({row, bar, number}, label) => {
        row.classList.toggle("first", reading?.ranking[0] === label);
        bar.value = reading?.probabilities[label] ?? 0;
        number.textContent = reading ? percent(reading.probabilities[label]) : "";
    });
    showSeen(readings, chosen);
    showUnits(reading);
    showStrongest(reading);
}

function showSeen(readings, chosen) {
    element("seen").replaceChildren();
    readings.forEach(({image, ranking}, i) => {
        const button = make("button", element("seen"), {
            type: "button", ariaPressed: String(i === chosen), onclick: () => { show(readings, i); },
            ariaLabel: `${ranking[0]}, as an image of ${SHAPE[0]} by ${SHAPE[1]} pixels`,
        });
        paint(make("canvas", button), image, (value) => [value, value, value]);
    });
}

function paint(canvas, values, colour) {
    const [height, width] = SHAPE;
    Object.assign(canvas, {height, width});
    const pixels = new ImageData(width, height);
    values.forEach((value, i) => { pixels.data.set([...colour(value), 255], 4 * i); });
    canvas.getContext("2d").putImageData(pixels, 0, 0);
}

// The hidden units, in a band for each class: that for which a unit speaks most.
const BANDS = Array.from({length: SECOND.units}, () => []);
for (let unit = 0; unit < FIRST.units; unit++) {
    const weights = SECOND.weight.subarray(unit * SECOND.units, (unit + 1) * SECOND.units);
    BANDS[weights.indexOf(Math.max(...weights))].push(unit);
}

function showUnits(reading) {
    const canvas = element("units"), size = 12, label = 24, space = 6;
    const columns = Math.ceil(Math.sqrt(2 * FIRST.units));
    const rows = BANDS.map((band) => Math.max(1, Math.ceil(band.length / columns)));
    canvas.width = label + columns * size;
    canvas.height = rows.reduce((sum, count) => sum + count * size + space, 0);
    const context = canvas.getContext("2d");
    context.font = "bold 16px system-ui, sans-serif";
    context.textBaseline = "middle";
    const largest = reading ? largestOf(reading.hidden) : 0;
    let top = 0;
    BANDS.forEach((band, name) => {
        context.fillStyle = reading?.ranking[0] === name ? "#0072b2" : "#555";
        context.fillText(name, 2, top + rows[name] * size / 2);
        band.forEach((unit, i) => {
            const light = largest ? reading.hidden[unit] / largest : 0;
            context.fillStyle = `rgb(${mixed([238, 238, 238], [213, 94, 0], Math.sqrt(light))})`;
            context.fillRect(label + (i % columns) * size, top + Math.floor(i / columns) * size, size - 2, size - 2);
        });
        top += rows[name] * size + space;
    });
    const lit = reading ? reading.hidden.filter((value) => value > 0).length : 0;
    element("lit").textContent = `${lit} of the ${FIRST.units} hidden units light up. They stand beside the digit that`
        + " they speak for most.";
}

function mixed(from, to, fraction) {
    return from.map((value, i) => Math.round(value + fraction * (to[i] - value)));
}

function showStrongest(reading) {
    element("strongest").replaceChildren();
    if (!reading) {
        element("reasons").textContent = "Draw something first.";
        return;
    }
    const label = reading.ranking[0];
    const votes = reading.hidden.map((value, unit) => value * SECOND.weight[unit * SECOND.units + label]);
    const strongest = [...votes.keys()].filter((unit) => votes[unit] > 0).sort((i, j) => votes[j] - votes[i]);
    for (const unit of strongest.slice(0, 8)) {
        const weights = Float32Array.from(reading.image, (_, i) => FIRST.weight[i * FIRST.units + unit]);
        const limit = weights.map(Math.abs).sort()[Math.floor(0.99 * weights.length)]; // the few largest are cut
        paint(make("canvas", element("strongest"), {role: "img", ariaLabel: `weights of hidden unit ${unit}`}), weights,
            (value) => mixed([255, 255, 255], value > 0 ? [178, 24, 43] : [33, 102, 172],
                Math.min(1, Math.abs(value) / limit)));
    }
    element("reasons").textContent = `The units that add most to the ${label}: red where a unit wants ink, blue where`
        + " it wants none.";
}

// --- drawing -------------------------------------------------------------------------------------------------------

const paper = element("paper");
const context = paper.getContext("2d", {alpha: false, willReadFrequently: true});
const pen = {x: paper.width / 2, y: paper.height / 2, isDown: false};
let isWaiting = false;

function clear() {
    context.fillStyle = "white";
    context.fillRect(0, 0, paper.width, paper.height);
    look();
    element("spoken").textContent = "The paper is empty.";
}

function look() {
    show(readDigits(context.getImageData(0, 0, paper.width, paper.height)).map(predict));
}

function lookSoon() { // at most once a frame
    if (isWaiting) return;
    isWaiting = true;
    requestAnimationFrame(() => {
        isWaiting = false;
        look();
    });
}

function speak() {
    look();
    element("spoken").textContent = `${element("digits").textContent}. ${element("sentence").textContent}`;
}

function drawTo(x, y) {
    context.fillStyle = context.strokeStyle = "black";
    context.lineWidth = PEN;
    context.lineCap = "round";
    context.beginPath();
    context.moveTo(pen.x, pen.y);
    context.lineTo(x, y);
    context.stroke();
    context.beginPath(); // a dot, where the line has no length
    context.arc(x, y, PEN / 2, 0, 2 * Math.PI);
    context.fill();
    lookSoon();
}

function move(x, y) {
    if (pen.isDown) drawTo(x, y);
    Object.assign(pen, {x, y});
    Object.assign(element("pen").style, {left: `${100 * x / paper.width}%`, top: `${100 * y / paper.height}%`});
    element("pen").classList.toggle("down", pen.isDown);
}

function place(event) {
    const box = paper.getBoundingClientRect();
    return [(event.clientX - box.left) * paper.width / box.width, (event.clientY - box.top) * paper.height / box.height];
}

function lift() {
    if (!pen.isDown) return;
    pen.isDown = false;
    move(pen.x, pen.y);
    speak();
}

paper.addEventListener("pointerdown", (event) => {
    if (!event.isPrimary || event.button !== 0) return;
    paper.setPointerCapture(event.pointerId);
    element("pen").classList.remove("shown");
    [pen.x, pen.y] = place(event);
    pen.isDown = true;
    move(pen.x, pen.y);
});
paper.addEventListener("pointermove", (event) => {
    if (!event.isPrimary || !paper.hasPointerCapture(event.pointerId)) return;
    const events = event.getCoalescedEvents?.() ?? [];
    for (const each of events.length ? events : [event]) move(...place(each));
});
paper.addEventListener("lostpointercapture", lift);

const ARROWS = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]};
paper.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.key in ARROWS) {
        const [x, y] = ARROWS[event.key].map((sign, i) => [pen.x, pen.y][i] + STEP * sign);
        move(Math.min(Math.max(x, 0), paper.width), Math.min(Math.max(y, 0), paper.height));
    } else if (event.key === " " && pen.isDown) {
        lift();
    } else if (event.key === " ") {
        pen.isDown = true;
        move(pen.x, pen.y);
    } else {
        return;
    }
    element("pen").classList.add("shown");
    event.preventDefault();
});
paper.addEventListener("blur", lift);
document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") clear();
});
element("clear").addEventListener("click", clear);
element("save").addEventListener("click", () => {
    Object.assign(document.createElement("a"), {href: paper.toDataURL(), download: "digit.png"}).click();
});

clear();
context.beginPath();
context.rect(MARGIN, MARGIN, paper.width - 2 * MARGIN, paper.height - 2 * MARGIN);
context.clip(); // from now on; clearing needs no more
