// structuredClone for what the language has: primitives and their objects, arrays, plain objects,
// Date, RegExp, Map, Set, errors, ArrayBuffer, typed arrays, cycles. Functions, symbols, weak
// collections and promises cannot be cloned, as in the standard.
() => {
  'use strict';
  const refuse = (value) => {
    const message = `${typeof value === 'symbol' ? value.toString() : Object.prototype.toString.call(value)} could not be cloned`;
    throw typeof DOMException === 'function' ? new DOMException(message, 'DataCloneError') : Object.assign(new Error(message), { name: 'DataCloneError' });
  };
  const ERRORS = { __proto__: null, Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError };
  const brand = (value, method) => { try { method.call(value); return true; } catch { return false; } };
  const getter = (prototype, name) => Object.getOwnPropertyDescriptor(prototype, name).get;
  const dateValue = Date.prototype.getTime;
  const mapSize = getter(Map.prototype, 'size');
  const setSize = getter(Set.prototype, 'size');
  const bufferLength = getter(ArrayBuffer.prototype, 'byteLength');
  const structuredClone = (root) => {
    const seen = new Map();
    const clone = (value) => {
      if (typeof value === 'function' || typeof value === 'symbol') refuse(value);
      if (value === null || typeof value !== 'object') return value;
      if (seen.has(value)) return seen.get(value);
      const keep = (copy) => { seen.set(value, copy); return copy; };
      if (Array.isArray(value)) {
        const copy = keep(new Array(value.length));
        for (const key of Object.keys(value)) copy[key] = clone(value[key]);
        return copy;
      }
      if (brand(value, dateValue)) return keep(new Date(dateValue.call(value)));
      if (value instanceof RegExp) return keep(new RegExp(value.source, value.flags));
      if (brand(value, mapSize)) {
        const copy = keep(new Map());
        for (const [key, item] of [...Map.prototype.entries.call(value)]) copy.set(clone(key), clone(item));
        return copy;
      }
      if (brand(value, setSize)) {
        const copy = keep(new Set());
        for (const item of [...Set.prototype.values.call(value)]) copy.add(clone(item));
        return copy;
      }
      if (value instanceof Boolean || value instanceof Number || value instanceof String || value instanceof BigInt) return keep(Object(value.valueOf()));
      if (value instanceof Symbol || value instanceof WeakMap || value instanceof WeakSet || value instanceof Promise || value instanceof WeakRef) refuse(value);
      if (value instanceof Error) {
        const Kind = ERRORS[value.name] ?? Error;
        const copy = keep(Object.create(Kind.prototype));
        for (const name of ['message', 'stack', 'cause']) {
          if (Object.hasOwn(value, name)) {
            Object.defineProperty(copy, name, { value: name === 'cause' ? clone(value.cause) : String(value[name]), writable: true, configurable: true });
          }
        }
        return copy;
      }
      if (brand(value, bufferLength)) return keep(value.slice(0));
      if (ArrayBuffer.isView(value)) {
        const buffer = clone(value.buffer);
        const Kind = value instanceof DataView ? DataView : globalThis[Object.prototype.toString.call(value).slice(8, -1)] ?? Uint8Array;
        return keep(new Kind(buffer, value.byteOffset, value instanceof DataView ? value.byteLength : value.length));
      }
      const copy = keep({});
      for (const key of Object.keys(value)) {
        Object.defineProperty(copy, key, { value: clone(value[key]), writable: true, enumerable: true, configurable: true });
      }
      return copy;
    };
    return clone(root);
  };
  return { structuredClone };
}
