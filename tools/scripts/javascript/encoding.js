// TextEncoder, TextDecoder (utf-8, utf-16le, latin1), Buffer as far as tools use it
// (from, alloc, concat, isBuffer, byteLength; toString utf8, base64, base64url, hex, latin1, ascii,
// utf16le), and atob and btoa where the engine has none.
() => {
  'use strict';
  const encodeUtf8 = (text) => {
    text = String(text);
    const bytes = new Uint8Array(text.length * 3);
    let size = 0;
    for (let i = 0; i < text.length; i++) {
      let code = text.charCodeAt(i);
      if (code >= 0xd800 && code <= 0xdfff) {
        const next = text.charCodeAt(i + 1);
        if (code < 0xdc00 && next >= 0xdc00 && next <= 0xdfff) {
          code = 0x10000 + ((code - 0xd800) << 10) + (next - 0xdc00);
          i++;
        } else code = 0xfffd;
      }
      if (code < 0x80) bytes[size++] = code;
      else if (code < 0x800) {
        bytes[size++] = 0xc0 | (code >> 6);
        bytes[size++] = 0x80 | (code & 63);
      } else if (code < 0x10000) {
        bytes[size++] = 0xe0 | (code >> 12);
        bytes[size++] = 0x80 | ((code >> 6) & 63);
        bytes[size++] = 0x80 | (code & 63);
      } else {
        bytes[size++] = 0xf0 | (code >> 18);
        bytes[size++] = 0x80 | ((code >> 12) & 63);
        bytes[size++] = 0x80 | ((code >> 6) & 63);
        bytes[size++] = 0x80 | (code & 63);
      }
    }
    return bytes.slice(0, size);
  };
  const fromUnits = (units) => {
    let out = '';
    for (let i = 0; i < units.length; i += 4096) out += String.fromCharCode.apply(null, units.slice(i, i + 4096));
    return out;
  };
  const decodeUtf8 = (bytes, fatal) => {
    const units = [];
    for (let i = 0; i < bytes.length;) {
      const first = bytes[i++];
      if (first < 0x80) { units.push(first); continue; }
      const size = first >= 0xc2 && first < 0xe0 ? 1 : first >= 0xe0 && first < 0xf0 ? 2 : first >= 0xf0 && first < 0xf5 ? 3 : 0;
      let code = first & (size === 1 ? 31 : size === 2 ? 15 : 7);
      let lower = first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80;
      let upper = first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf;
      let taken = 0;
      while (taken < size && i < bytes.length && bytes[i] >= lower && bytes[i] <= upper) {
        code = (code << 6) | (bytes[i++] & 63);
        taken++; lower = 0x80; upper = 0xbf;
      }
      if (!size || taken < size) {
        if (fatal) throw new TypeError('The encoded data was not valid for encoding utf-8');
        units.push(0xfffd);
      } else if (code < 0x10000) units.push(code);
      else units.push(0xd800 + ((code - 0x10000) >> 10), 0xdc00 + ((code - 0x10000) & 0x3ff));
    }
    return fromUnits(units);
  };
  const decodeUtf16 = (bytes) => {
    const units = [];
    for (let i = 0; i + 1 < bytes.length; i += 2) units.push(bytes[i] | (bytes[i + 1] << 8));
    return fromUnits(units);
  };
  const viewOf = (source) => {
    if (ArrayBuffer.isView(source)) return new Uint8Array(source.buffer, source.byteOffset, source.byteLength);
    return new Uint8Array(source);
  };

  class TextEncoder {
    get encoding() { return 'utf-8'; }
    encode(text = '') { return encodeUtf8(text); }
    encodeInto(text, target) {
      let read = 0, written = 0;
      for (const character of String(text)) {
        const bytes = encodeUtf8(character);
        if (written + bytes.length > target.length) break;
        target.set(bytes, written);
        written += bytes.length;
        read += character.length;
      }
      return { read, written };
    }
  }
  const LABELS = {
    __proto__: null, 'utf-8': 'utf-8', utf8: 'utf-8', 'unicode-1-1-utf-8': 'utf-8', 'utf-16le': 'utf-16le',
    'utf-16': 'utf-16le', 'iso-8859-1': 'windows-1252', latin1: 'windows-1252', ascii: 'windows-1252',
    'us-ascii': 'windows-1252', 'windows-1252': 'windows-1252',
  };
  const WINDOWS_1252 = '\u20ac\x81\u201a\u0192\u201e\u2026\u2020\u2021\u02c6\u2030\u0160\u2039\u0152\x8d\u017d\x8f\x90\u2018\u2019\u201c\u201d\u2022\u2013\u2014\u02dc\u2122\u0161\u203a\u0153\x9d\u017e\u0178';
  class TextDecoder {
    #encoding; #fatal; #ignoreBOM;
    constructor(label = 'utf-8', options = {}) {
      this.#encoding = LABELS[String(label).trim().toLowerCase()];
      if (!this.#encoding) throw new RangeError(`The encoding label "${label}" is not available here`);
      this.#fatal = Boolean(options?.fatal);
      this.#ignoreBOM = Boolean(options?.ignoreBOM);
    }
    get encoding() { return this.#encoding; }
    get fatal() { return this.#fatal; }
    get ignoreBOM() { return this.#ignoreBOM; }
    decode(source) {
      if (source === undefined) return '';
      const bytes = viewOf(source);
      if (this.#encoding === 'windows-1252') {
        return fromUnits(Array.from(bytes, (byte) => (byte > 0x7f && byte < 0xa0 ? WINDOWS_1252.charCodeAt(byte - 0x80) : byte)));
      }
      const text = this.#encoding === 'utf-8' ? decodeUtf8(bytes, this.#fatal) : decodeUtf16(bytes);
      return !this.#ignoreBOM && text[0] === '\ufeff' ? text.slice(1) : text;
    }
  }

  // ---- base64 and hex -------------------------------------------------------------------------
  const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
  const URL_ALPHABET = ALPHABET.slice(0, 62) + '-_';
  const VALUES = new Int8Array(128).fill(-1);
  for (let i = 0; i < 64; i++) { VALUES[ALPHABET.charCodeAt(i)] = i; VALUES[URL_ALPHABET.charCodeAt(i)] = i; }
  const toBase64 = (bytes, alphabet, padded) => {
    let out = '';
    for (let i = 0; i < bytes.length; i += 3) {
      const left = bytes.length - i;
      const group = (bytes[i] << 16) | ((left > 1 ? bytes[i + 1] : 0) << 8) | (left > 2 ? bytes[i + 2] : 0);
      out += alphabet[group >> 18] + alphabet[(group >> 12) & 63];
      out += left > 1 ? alphabet[(group >> 6) & 63] : padded ? '=' : '';
      out += left > 2 ? alphabet[group & 63] : padded ? '=' : '';
    }
    return out;
  };
  // Forgiving, as Node's Buffer is: ends at "=", skips what is no digit.
  const fromBase64 = (text) => {
    const bytes = new Uint8Array(Math.ceil((text.length * 3) / 4));
    let size = 0, group = 0, bits = 0;
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i);
      if (code === 61) break;
      const value = code < 128 ? VALUES[code] : -1;
      if (value < 0) continue;
      group = ((group << 6) | value) & 0xffffff;
      bits += 6;
      if (bits >= 8) { bits -= 8; bytes[size++] = (group >> bits) & 255; }
    }
    return bytes.slice(0, size);
  };
  const fromHex = (text) => {
    const bytes = [];
    for (let i = 0; i + 1 < text.length; i += 2) {
      const digits = text.slice(i, i + 2);
      if (!/^[0-9a-f]{2}$/i.test(digits)) break;
      bytes.push(parseInt(digits, 16));
    }
    return Uint8Array.from(bytes);
  };
  const invalidCharacter = (message) =>
    typeof DOMException === 'function' ? new DOMException(message, 'InvalidCharacterError') : Object.assign(new Error(message), { name: 'InvalidCharacterError' });
  const btoa = (text) => {
    text = String(text);
    const bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) {
      if (text.charCodeAt(i) > 255) throw invalidCharacter('The string contains characters outside of the Latin1 range');
      bytes[i] = text.charCodeAt(i);
    }
    return toBase64(bytes, ALPHABET, true);
  };
  const atob = (text) => {
    text = String(text).replace(/[\t\n\f\r ]/g, '');
    if (text.length % 4 === 0) text = text.replace(/==?$/, '');
    if (text.length % 4 === 1 || /[^A-Za-z0-9+/]/.test(text)) throw invalidCharacter('The string is not correctly encoded');
    return fromUnits(Array.from(fromBase64(text)));
  };

  // ---- Buffer ---------------------------------------------------------------------------------
  const encodingOf = (name) => {
    const encoding = name === undefined || name === null ? 'utf8' : String(name).toLowerCase();
    if (encoding === 'utf-8') return 'utf8';
    if (encoding === 'binary') return 'latin1';
    if (encoding === 'ucs2' || encoding === 'ucs-2' || encoding === 'utf-16le') return 'utf16le';
    if (!['utf8', 'base64', 'base64url', 'hex', 'latin1', 'ascii', 'utf16le'].includes(encoding)) {
      throw new TypeError(`Unknown encoding: ${name}`);
    }
    return encoding;
  };
  const bytesOf = (text, name) => {
    switch (encodingOf(name)) {
      case 'base64': case 'base64url': return fromBase64(text);
      case 'hex': return fromHex(text);
      case 'latin1': case 'ascii': return Uint8Array.from(text, (character) => character.charCodeAt(0) & 255);
      case 'utf16le': {
        const bytes = new Uint8Array(text.length * 2);
        for (let i = 0; i < text.length; i++) { bytes[2 * i] = text.charCodeAt(i) & 255; bytes[2 * i + 1] = text.charCodeAt(i) >> 8; }
        return bytes;
      }
      default: return encodeUtf8(text);
    }
  };
  class Buffer extends Uint8Array {
    // Typed-array methods such as map make a plain Uint8Array; slices are Buffers.
    static get [Symbol.species]() { return Uint8Array; }
    static from(source, encodingOrOffset, length) {
      if (typeof source === 'string') return Buffer.#wrap(bytesOf(source, encodingOrOffset));
      if (source instanceof ArrayBuffer) return new Buffer(source, encodingOrOffset, length);
      if (source?.type === 'Buffer' && Array.isArray(source.data)) source = source.data;
      if (source === null || typeof source !== 'object') {
        throw new TypeError('Buffer.from needs a string, an array, an ArrayBuffer or a typed array');
      }
      return Buffer.#wrap(Uint8Array.from(source));
    }
    static #wrap(bytes) { return new Buffer(bytes.buffer, bytes.byteOffset, bytes.byteLength); }
    static alloc(size, fill = 0, encoding) {
      const buffer = new Buffer(size);
      if (typeof fill === 'string') {
        const bytes = bytesOf(fill, encoding);
        if (bytes.length) for (let i = 0; i < size; i++) buffer[i] = bytes[i % bytes.length];
      } else if (fill) buffer.fill(fill);
      return buffer;
    }
    static allocUnsafe(size) { return new Buffer(size); }
    static concat(list, total = list.reduce((sum, item) => sum + item.length, 0)) {
      const joined = new Buffer(total);
      let offset = 0;
      for (const item of list) {
        joined.set(item.subarray(0, Math.max(total - offset, 0)), Math.min(offset, total));
        offset += item.length;
      }
      return joined;
    }
    static isBuffer(value) { return value instanceof Buffer; }
    static isEncoding(name) { try { encodingOf(name); return typeof name === 'string'; } catch { return false; } }
    static byteLength(source, encoding) {
      return typeof source === 'string' ? bytesOf(source, encoding).length : source.byteLength;
    }
    static compare(a, b) { return Buffer.from(a).compare(b); }
    compare(other) {
      const size = Math.min(this.length, other.length);
      for (let i = 0; i < size; i++) if (this[i] !== other[i]) return this[i] < other[i] ? -1 : 1;
      return Math.sign(this.length - other.length);
    }
    equals(other) { return this.compare(other) === 0; }
    subarray(start, end) { return Buffer.#wrap(new Uint8Array(this.buffer, this.byteOffset, this.length).subarray(start, end)); }
    slice(start, end) { return this.subarray(start, end); }
    toString(encoding, start = 0, end = this.length) {
      const bytes = new Uint8Array(this.buffer, this.byteOffset, this.length).subarray(Math.max(start, 0), Math.max(end, 0));
      switch (encodingOf(encoding)) {
        case 'base64': return toBase64(bytes, ALPHABET, true);
        case 'base64url': return toBase64(bytes, URL_ALPHABET, false);
        case 'hex': {
          let out = '';
          for (let i = 0; i < bytes.length; i++) out += (bytes[i] < 16 ? '0' : '') + bytes[i].toString(16);
          return out;
        }
        case 'latin1': return fromUnits(Array.from(bytes));
        case 'ascii': return fromUnits(Array.from(bytes, (byte) => byte & 127));
        case 'utf16le': return decodeUtf16(bytes);
        default: return decodeUtf8(bytes, false);
      }
    }
    toJSON() { return { type: 'Buffer', data: Array.from(this) }; }
  }
  return { TextEncoder, TextDecoder, Buffer, atob, btoa };
}
