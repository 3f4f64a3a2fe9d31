// SPDX-License-Identifier: GPL-2.0-or-later
// A script that keeps a just-in-time compiler busy: hot loops whose types change later (deoptimization), fresh functions
// all the time, closures, typed arrays, regular expressions, big integers, JSON, exceptions, generators, WebAssembly.
'use strict';
let sum = 0;
const add = (name, v) => { console.log(name, v); sum = (Math.imul(sum, 31) + (v | 0)) | 0; };

function polymorphic(n) {
    class A { constructor(v) { this.v = v; } get() { return this.v; } }
    class B { constructor(v) { this.w = 1; this.v = v; } get() { return this.v * 2; } }
    class C extends A { get() { return super.get() + 3; } }
    const call = (o) => o.get();
    let s = 0;
    for (const make of [A, A, B, C, A]) {
        for (let i = 0; i < n; i++) s = (s + call(new make(i))) | 0;
        s = (s + call({get() { return '7'; }}).length) | 0;
    }
    return s;
}

function fresh(n) {
    let s = 0;
    for (let i = 0; i < n; i++) {
        const f = new Function('x', `let s = ${i}; for (let i = 0; i < 300; i++) s = (s * ${i % 17 + 2} + x + i) | 0; return s;`);
        for (let k = 0; k < 12; k++) s = (s + f(k)) | 0;
    }
    return s;
}

function matrices(n) {
    const a = new Float64Array(n * n), b = new Float64Array(n * n), c = new Float64Array(n * n);
    for (let i = 0; i < n * n; i++) { a[i] = i % 7 - 3; b[i] = i % 5 / 4; }
    for (let i = 0; i < n; i++)
        for (let j = 0; j < n; j++) {
            let s = 0;
            for (let k = 0; k < n; k++) s += a[i * n + k] * b[k * n + j];
            c[i * n + j] = s;
        }
    return c.reduce((x, y) => x + y, 0) * 4;
}

function bits(n) {
    const u = new Uint32Array(1 << 16), v = new DataView(u.buffer);
    let x = 123456789;
    for (let i = 0; i < n; i++) {
        x ^= x << 13; x ^= x >>> 17; x ^= x << 5;
        u[i & 0xffff] += x;
        v.setInt16(x & 0x1fffe, i, i & 1);
    }
    return u.reduce((a, b) => (a + b) | 0, 0);
}

function text(n) {
    let s = '', hits = 0;
    const map = new Map();
    for (let i = 0; i < n; i++) {
        s += String.fromCharCode(97 + i * 7 % 26, 97 + i * i % 26);
        if (s.length > 300) {
            hits += (s.match(/([a-m]{2,4})[n-z]+?(?=a|e|i)/g) || []).length;
            map.set(s.slice(-9), s.length);
            s = s.replace(/[aeiou]/g, (c) => c.toUpperCase()).slice(-40);
        }
    }
    return hits + map.size + JSON.stringify([...map]).length;
}

function exceptions(n) {
    let s = 0;
    function thrower(i) { if (i % 3 === 0) throw new RangeError('no ' + i); return i; }
    for (let i = 0; i < n; i++)
        try { s += thrower(i); } catch (e) { s += e.message.length; } finally { s ^= 1; }
    return s;
}

function* numbers(n) { for (let i = 0; i < n; i++) yield i * 1.5; }
function generated(n) { let s = 0; for (const v of numbers(n)) s += v > 100 ? v % 3 : -v; return s * 2; }

function big(n) {
    let a = 1n, b = 1n;
    for (let i = 0; i < n; i++) { [a, b] = [b, a + b]; if (i % 100 === 0) b *= 3n; }
    return Number(b % 1000000007n);
}

function wasm(n) { // (func (param i32) (result i32)): a loop of multiply and add
    const code = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, 1, 6, 1, 96, 1, 127, 1, 127, 3, 2, 1, 0, 7, 5, 1, 1, 102, 0, 0,
        10, 33, 1, 31, 1, 1, 127, 3, 64, 32, 1, 65, 13, 108, 32, 0, 106, 33, 1, 32, 0, 65, 1, 107, 34, 0, 13, 0, 11, 32, 1, 11]);
    code[28] = code.length - 29; code[30] = code.length - 31;
    return new WebAssembly.Instance(new WebAssembly.Module(code)).exports.f(n);
}

add('polymorphic', polymorphic(2000000));
add('fresh', fresh(3000));
add('matrices', matrices(300));
add('bits', bits(20000000));
add('text', text(400000));
add('exceptions', exceptions(200000));
add('generated', generated(3000000));
add('big', big(6000));
add('wasm', wasm(50000000));
for (let i = 0; i < 3; i++) add('again', polymorphic(100000 + i) + fresh(300) + bits(100000));
setTimeout(() => Promise.all([1, 2, 3].map(async (x) => x * sum)).then((v) => console.log('sum', sum, v)), 1);
