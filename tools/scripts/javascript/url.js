// URL and URLSearchParams by the WHATWG URL standard (https://url.spec.whatwg.org). Host names
// with characters beyond ASCII are lower-cased, NFC-normalised and punycode-encoded; the full
// IDNA mapping tables are not here.
() => {
  'use strict';
  const SPECIAL = { __proto__: null, 'ftp:': '21', 'file:': '', 'http:': '80', 'https:': '443', 'ws:': '80', 'wss:': '443' };
  const FRAGMENT = ' "<>`';
  const QUERY = ' "#<>';
  const SPECIAL_QUERY = QUERY + "'";
  const PATH = QUERY + '?^`{}';
  const USERINFO = PATH + '/:;=@[\\]|';
  const FORBIDDEN_HOST = /[\0\t\n\r #/:<>?@[\\\]^|]/;
  const FORBIDDEN_DOMAIN = /[\0-\x20"#%/:<>?@[\\\]^`{|}\x7f]/;

  // ---- percent-encoding -----------------------------------------------------------------------
  const utf8 = (text) => {
    const bytes = [];
    for (const character of text) {
      let code = character.codePointAt(0);
      if (code >= 0xd800 && code <= 0xdfff) code = 0xfffd;
      if (code < 0x80) bytes.push(code);
      else if (code < 0x800) bytes.push(0xc0 | (code >> 6), 0x80 | (code & 63));
      else if (code < 0x10000) bytes.push(0xe0 | (code >> 12), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63));
      else bytes.push(0xf0 | (code >> 18), 0x80 | ((code >> 12) & 63), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63));
    }
    return bytes;
  };
  const hex = (byte) => '%' + (byte < 16 ? '0' : '') + byte.toString(16).toUpperCase();
  const encode = (text, set) => {
    let out = '';
    for (const character of text) {
      if (character > '\x1f' && character < '\x7f' && !set.includes(character)) out += character;
      else for (const byte of utf8(character)) out += hex(byte);
    }
    return out;
  };
  const decodeBytes = (bytes) => {
    let out = '';
    for (let i = 0; i < bytes.length;) {
      const first = bytes[i++];
      if (first < 0x80) { out += String.fromCharCode(first); continue; }
      const size = first >= 0xc2 && first < 0xe0 ? 1 : first >= 0xe0 && first < 0xf0 ? 2 : first >= 0xf0 && first < 0xf5 ? 3 : 0;
      let code = size === 1 ? first & 31 : size === 2 ? first & 15 : first & 7;
      let lower = first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80;
      let upper = first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf;
      let taken = 0;
      while (taken < size && bytes[i] >= lower && bytes[i] <= upper) {
        code = (code << 6) | (bytes[i++] & 63);
        taken++; lower = 0x80; upper = 0xbf;
      }
      out += size && taken === size ? String.fromCodePoint(code) : '\ufffd';
    }
    return out;
  };
  const percentDecode = (text) => {
    if (!text.includes('%')) return text;
    const bytes = utf8(text);
    const out = [];
    for (let i = 0; i < bytes.length; i++) {
      const digits = bytes[i] === 37 ? String.fromCharCode(bytes[i + 1], bytes[i + 2]) : '';
      if (/^[0-9a-f]{2}$/i.test(digits)) { out.push(parseInt(digits, 16)); i += 2; } else out.push(bytes[i]);
    }
    return decodeBytes(out);
  };

  // ---- hosts ----------------------------------------------------------------------------------
  const punycode = (label) => {
    const points = Array.from(label, (character) => character.codePointAt(0));
    let out = points.filter((point) => point < 128).map((point) => String.fromCharCode(point)).join('');
    let handled = out.length;
    const basic = handled;
    if (basic) out += '-';
    let n = 128, delta = 0, bias = 72;
    const digit = (value) => String.fromCharCode(value < 26 ? value + 97 : value + 22);
    while (handled < points.length) {
      const next = Math.min(...points.filter((point) => point >= n));
      delta += (next - n) * (handled + 1);
      n = next;
      for (const point of points) {
        if (point < n) delta++;
        if (point !== n) continue;
        let q = delta;
        for (let k = 36; ; k += 36) {
          const t = k <= bias ? 1 : k >= bias + 26 ? 26 : k - bias;
          if (q < t) break;
          out += digit(t + ((q - t) % (36 - t)));
          q = Math.floor((q - t) / (36 - t));
        }
        out += digit(q);
        delta = handled === basic ? Math.floor(delta / 700) : delta >> 1;
        delta += Math.floor(delta / (handled + 1));
        let k = 0;
        for (; delta > 455; k += 36) delta = Math.floor(delta / 35);
        bias = k + Math.floor((36 * delta) / (delta + 38));
        delta = 0;
        handled++;
      }
      delta++;
      n++;
    }
    return out;
  };
  const parseIPv4 = (host) => {
    const parts = host.split('.');
    if (parts.at(-1) === '' && parts.length > 1) parts.pop();
    const last = parts.at(-1);
    if (!/^\d+$/.test(last) && !/^0x[0-9a-f]*$/i.test(last)) return host;
    if (parts.length > 4) return null;
    const numbers = [];
    for (const part of parts) {
      if (part === '') return null;
      const radix = /^0x/i.test(part) ? 16 : part.length > 1 && part[0] === '0' ? 8 : 10;
      const digits = radix === 16 ? part.slice(2) : radix === 8 ? part.slice(1) : part;
      if (!(radix === 16 ? /^[0-9a-f]*$/i : radix === 8 ? /^[0-7]*$/ : /^\d+$/).test(digits)) return null;
      numbers.push(digits === '' ? 0 : parseInt(digits, radix));
    }
    if (numbers.slice(0, -1).some((number) => number > 255)) return null;
    if (numbers.at(-1) >= 256 ** (5 - numbers.length)) return null;
    let address = numbers.at(-1);
    numbers.slice(0, -1).forEach((number, position) => { address += number * 256 ** (3 - position); });
    return [24, 16, 8, 0].map((shift) => Math.floor(address / 2 ** shift) % 256).join('.');
  };
  const parseIPv6 = (text) => {
    let tail = text;
    const dotted = /^(.*:)(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text);
    if (dotted) {
      const bytes = dotted.slice(2);
      if (bytes.some((part) => part > 255 || (part.length > 1 && part[0] === '0'))) return null;
      tail = dotted[1] + (bytes[0] * 256 + +bytes[1]).toString(16) + ':' + (bytes[2] * 256 + +bytes[3]).toString(16);
    }
    const halves = tail.split('::');
    if (halves.length > 2) return null;
    const read = (half) => (half === '' ? [] : half.split(':'));
    const left = read(halves[0]);
    const right = halves.length === 2 ? read(halves[1]) : [];
    const missing = 8 - left.length - right.length;
    if (halves.length === 2 ? missing < 1 : missing !== 0) return null;
    const pieces = [...left, ...Array(missing).fill('0'), ...right];
    if (!pieces.every((piece) => /^[0-9a-f]{1,4}$/i.test(piece))) return null;
    const numbers = pieces.map((piece) => parseInt(piece, 16));
    let best = -1, length = 1;
    for (let i = 0; i < 8; i++) {
      let run = 0;
      while (numbers[i + run] === 0) run++;
      if (run > length) { best = i; length = run; }
      if (run) i += run - 1;
    }
    let out = '';
    for (let i = 0; i < 8; i++) {
      if (i === best) { out += i === 0 ? '::' : ':'; i += length - 1; continue; }
      out += numbers[i].toString(16) + (i < 7 ? ':' : '');
    }
    return out;
  };
  const parseHost = (text, special) => {
    if (text[0] === '[') {
      const address = text.at(-1) === ']' ? parseIPv6(text.slice(1, -1)) : null;
      return address === null ? null : `[${address}]`;
    }
    if (!special) return FORBIDDEN_HOST.test(text) ? null : encode(text, '');
    let host = percentDecode(text).normalize('NFC').toLowerCase().replace(/[\u3002\uff0e\uff61]/g, '.').replace(/\u00ad/g, '');
    host = host.split('.').map((label) => (/[^\0-\x7f]/.test(label) ? 'xn--' + punycode(label) : label)).join('.');
    if (host === '' || FORBIDDEN_DOMAIN.test(host)) return null;
    return parseIPv4(host);
  };

  // ---- the parser -----------------------------------------------------------------------------
  const isDriveLetter = (text) => /^[a-z][:|]$/i.test(text);
  const shorten = (url) => {
    if (url.scheme === 'file:' && url.path.length === 1 && /^[a-z]:$/i.test(url.path[0])) return;
    url.path.pop();
  };
  const isOneDot = (segment) => segment === '.' || segment.toLowerCase() === '%2e';
  const isTwoDots = (segment) => /^(?:\.|%2e){2}$/i.test(segment);
  const readPath = (url, text) => {
    const special = url.scheme in SPECIAL;
    const segments = text.split(special ? /[/\\]/ : '/');
    segments.forEach((segment, position) => {
      const last = position === segments.length - 1;
      if (isTwoDots(segment)) { shorten(url); if (last) url.path.push(''); }
      else if (isOneDot(segment)) { if (last) url.path.push(''); }
      else {
        if (url.scheme === 'file:' && url.path.length === 0 && isDriveLetter(segment)) segment = segment[0] + ':';
        url.path.push(encode(segment, PATH));
      }
    });
  };
  const readAuthority = (url, text) => {
    const special = url.scheme in SPECIAL;
    const at = text.lastIndexOf('@');
    if (at >= 0) {
      const colon = text.slice(0, at).indexOf(':');
      url.username = encode(text.slice(0, colon < 0 ? at : colon), USERINFO);
      url.password = colon < 0 ? '' : encode(text.slice(colon + 1, at), USERINFO);
      text = text.slice(at + 1);
      if (text === '') return false;
    }
    const port = /:([^\]]*)$/.exec(text);
    let host = port ? text.slice(0, port.index) : text;
    if (host.includes(':') && host[0] !== '[') return false;
    if (host === '' && (special || port)) return false;
    host = host === '' ? '' : parseHost(host, special);
    if (host === null) return false;
    url.host = host;
    return !port || readPort(url, port[1]);
  };
  const readPort = (url, digits) => {
    if (digits === '') { url.port = ''; return true; }
    if (!/^\d+$/.test(digits) || +digits > 65535) return false;
    url.port = String(+digits) === SPECIAL[url.scheme] ? '' : String(+digits);
    return true;
  };
  const split = (text, mark) => {
    const at = text.indexOf(mark);
    return at < 0 ? [text, null] : [text.slice(0, at), text.slice(at + 1)];
  };
  const encodeQuery = (url, text) => encode(text, url.scheme in SPECIAL ? SPECIAL_QUERY : QUERY);
  const blank = (scheme) => ({
    scheme, username: '', password: '', host: null, port: '', path: [], opaque: null, query: null, fragment: null,
  });
  // The parsed URL, or null where the standard says failure.
  const parse = (input, base) => {
    input = input.replace(/^[\0-\x20]+|[\0-\x20]+$/g, '').replace(/[\t\n\r]/g, '');
    const [beforeFragment, fragment] = split(input, '#');
    const scheme = /^[a-z][a-z0-9+.-]*:/i.exec(beforeFragment);
    let url, rest;
    if (scheme) {
      url = blank(scheme[0].toLowerCase());
      rest = beforeFragment.slice(scheme[0].length);
      const special = url.scheme in SPECIAL;
      if (special && url.scheme !== 'file:') {
        // `https:path` is relative to a base of the same scheme.
        if (base && base.scheme === url.scheme && !/^[/\\]{2}/.test(rest)) return relative(rest, base, fragment);
        const [text, query] = split(rest.replace(/^[/\\]*/, ''), '?');
        const end = text.search(/[/\\]/);
        if (!readAuthority(url, end < 0 ? text : text.slice(0, end))) return null;
        readPath(url, end < 0 ? '' : text.slice(end + 1));
        if (query !== null) url.query = encodeQuery(url, query);
      } else if (url.scheme === 'file:') {
        return readFile(url, rest, base && base.scheme === 'file:' ? base : null, fragment);
      } else if (rest.startsWith('/')) {
        const [text, query] = split(rest, '?');
        if (!readHierarchy(url, text)) return null;
        if (query !== null) url.query = encodeQuery(url, query);
      } else {
        const [text, query] = split(rest, '?');
        url.opaque = encode(text, '').replace(/ $/, fragment === null && query === null ? ' ' : '%20');
        if (query !== null) url.query = encodeQuery(url, query);
      }
      if (fragment !== null) url.fragment = encode(fragment, FRAGMENT);
      return url;
    }
    if (!base) return null;
    if (base.opaque !== null) {
      if (beforeFragment !== '' || fragment === null) return null;
      return { ...base, fragment: encode(fragment, FRAGMENT) };
    }
    if (base.scheme === 'file:') return readFile(blank('file:'), beforeFragment, base, fragment);
    return relative(beforeFragment, base, fragment);
  };
  const readHierarchy = (url, text) => {
    const slashes = url.scheme in SPECIAL ? /^[/\\]{2,}/ : /^\/\//;
    const authority = slashes.exec(text);
    if (!authority) { readPath(url, text.slice(1)); return true; }
    const rest = text.slice(authority[0].length);
    const end = rest.search(url.scheme in SPECIAL ? /[/\\]/ : /\//);
    if (!readAuthority(url, end < 0 ? rest : rest.slice(0, end))) return false;
    if (end >= 0) readPath(url, rest.slice(end + 1));
    else if (url.scheme in SPECIAL) url.path = [''];
    return true;
  };
  const relative = (text, base, fragment) => {
    const url = blank(base.scheme);
    const special = url.scheme in SPECIAL;
    const [path, query] = split(text, '?');
    const slash = special ? /^[/\\]/ : /^\//;
    if (slash.test(path) && slash.test(path.slice(1))) {
      if (!readHierarchy(url, path)) return null;
    } else {
      for (const part of ['username', 'password', 'host', 'port']) url[part] = base[part];
      if (slash.test(path)) readPath(url, path.slice(1));
      else {
        url.path = [...base.path];
        if (path === '') url.query = base.query;
        else { shorten(url); readPath(url, path); }
      }
    }
    if (query !== null) url.query = encodeQuery(url, query);
    if (fragment !== null) url.fragment = encode(fragment, FRAGMENT);
    return url;
  };
  const readFile = (url, text, base, fragment) => {
    const [path, query] = split(text, '?');
    url.host = '';
    if (/^[/\\]{2}/.test(path)) {
      const rest = path.slice(2);
      const end = rest.search(/[/\\]/);
      const name = end < 0 ? rest : rest.slice(0, end);
      if (isDriveLetter(name)) readPath(url, rest);
      else {
        const host = name === '' ? '' : parseHost(name, true);
        if (host === null) return null;
        url.host = host === 'localhost' ? '' : host;
        readPath(url, end < 0 ? '' : rest.slice(end + 1));
      }
    } else if (/^[/\\]/.test(path)) {
      if (base) {
        url.host = base.host;
        if (!/^[/\\][a-z][:|](?:[/\\]|$)/i.test(path) && /^[a-z]:$/i.test(base.path[0] ?? '')) url.path.push(base.path[0]);
      }
      readPath(url, path.slice(1));
    } else if (base) {
      url.host = base.host;
      url.path = [...base.path];
      if (path === '') url.query = base.query;
      else {
        if (/^[a-z][:|](?:[/\\]|$)/i.test(path)) url.path = []; else shorten(url);
        readPath(url, path);
      }
    } else readPath(url, path);
    if (query !== null) url.query = encodeQuery(url, query);
    if (fragment !== null) url.fragment = encode(fragment, FRAGMENT);
    return url;
  };
  const pathText = (url) => {
    if (url.opaque !== null) return url.opaque;
    return url.path.length ? '/' + url.path.join('/') : '';
  };
  const hostText = (url) => (url.host ?? '') + (url.port === '' ? '' : ':' + url.port);
  const serialize = (url) => {
    let out = url.scheme;
    if (url.host !== null) {
      out += '//';
      if (url.username !== '' || url.password !== '') {
        out += url.username + (url.password === '' ? '' : ':' + url.password) + '@';
      }
      out += hostText(url);
    } else if (url.opaque === null && url.path.length > 1 && url.path[0] === '') out += '/.';
    out += pathText(url);
    if (url.query !== null) out += '?' + url.query;
    if (url.fragment !== null) out += '#' + url.fragment;
    return out;
  };

  // ---- URLSearchParams --------------------------------------------------------------------------
  const wellFormed = (value) => String(value).replace(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, '\ufffd');
  const formEncode = (text) => {
    let out = '';
    for (const byte of utf8(text)) {
      if (byte === 32) out += '+';
      else if ((byte > 47 && byte < 58) || (byte > 64 && byte < 91) || (byte > 96 && byte < 123) || byte === 42 || byte === 45 || byte === 46 || byte === 95) out += String.fromCharCode(byte);
      else out += hex(byte);
    }
    return out;
  };
  const formDecode = (text) => percentDecode(text.replace(/\+/g, ' '));
  const parseForm = (text) => text.split('&').filter((pair) => pair !== '').map((pair) => {
    const [name, value] = split(pair, '=');
    return [formDecode(name), formDecode(value ?? '')];
  });
  const arity = (given, needed, method) => {
    if (given < needed) throw new TypeError(`${method} needs ${needed} argument${needed > 1 ? 's' : ''}, ${given} given`);
  };
  let attach, refill;
  class URLSearchParams {
    #pairs = [];
    #url = null;
    static {
      attach = (params, url) => { params.#url = url; };
      refill = (params, query) => { params.#pairs = query === null ? [] : parseForm(query); };
    }
    constructor(init = '') {
      if (init !== null && (typeof init === 'object' || typeof init === 'function')) {
        if (typeof init[Symbol.iterator] === 'function') {
          for (const pair of init) {
            const [name, value, ...more] = [...pair];
            if (value === undefined || more.length) throw new TypeError('URLSearchParams: each pair needs a name and a value');
            this.#pairs.push([wellFormed(name), wellFormed(value)]);
          }
        } else {
          for (const name of Reflect.ownKeys(init)) {
            if (typeof name === 'string' && Object.prototype.propertyIsEnumerable.call(init, name)) {
              const pair = [wellFormed(name), wellFormed(init[name])];
              this.#pairs.push(pair);
            }
          }
        }
      } else {
        const text = wellFormed(init);
        this.#pairs = parseForm(text[0] === '?' ? text.slice(1) : text);
      }
    }
    #changed() {
      if (this.#url) {
        const text = this.toString();
        this.#url.query = text === '' ? null : text;
      }
    }
    get size() { return this.#pairs.length; }
    append(name, value) {
      arity(arguments.length, 2, 'append');
      this.#pairs.push([wellFormed(name), wellFormed(value)]);
      this.#changed();
    }
    delete(name, value) {
      arity(arguments.length, 1, 'delete');
      name = wellFormed(name);
      const any = value === undefined;
      if (!any) value = wellFormed(value);
      this.#pairs = this.#pairs.filter((pair) => !(pair[0] === name && (any || pair[1] === value)));
      this.#changed();
    }
    get(name) {
      name = wellFormed(name);
      const found = this.#pairs.find((pair) => pair[0] === name);
      return found ? found[1] : null;
    }
    getAll(name) {
      name = wellFormed(name);
      return this.#pairs.filter((pair) => pair[0] === name).map((pair) => pair[1]);
    }
    has(name, value) {
      name = wellFormed(name);
      return this.#pairs.some((pair) => pair[0] === name && (value === undefined || pair[1] === wellFormed(value)));
    }
    set(name, value) {
      arity(arguments.length, 2, 'set');
      name = wellFormed(name);
      value = wellFormed(value);
      const first = this.#pairs.find((pair) => pair[0] === name);
      if (first) {
        first[1] = value;
        this.#pairs = this.#pairs.filter((pair) => pair === first || pair[0] !== name);
      } else this.#pairs.push([name, value]);
      this.#changed();
    }
    sort() {
      this.#pairs.sort((a, b) => (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0));
      this.#changed();
    }
    forEach(callback, self) { for (const [name, value] of this) callback.call(self, value, name, this); }
    *entries() { for (let i = 0; i < this.#pairs.length; i++) yield [...this.#pairs[i]]; }
    *keys() { for (let i = 0; i < this.#pairs.length; i++) yield this.#pairs[i][0]; }
    *values() { for (let i = 0; i < this.#pairs.length; i++) yield this.#pairs[i][1]; }
    toString() { return this.#pairs.map(([name, value]) => formEncode(name) + '=' + formEncode(value)).join('&'); }
    get [Symbol.toStringTag]() { return 'URLSearchParams'; }
  }
  Object.defineProperty(URLSearchParams.prototype, Symbol.iterator, {
    value: URLSearchParams.prototype.entries, writable: true, configurable: true,
  });

  // ---- URL ------------------------------------------------------------------------------------
  const hasNoPort = (url) => url.host === null || url.host === '' || url.scheme === 'file:';
  class URL {
    #url;
    #params = null;
    constructor(input, base) {
      arity(arguments.length, 1, 'URL');
      let parsedBase = null;
      if (base !== undefined) {
        parsedBase = parse(wellFormed(base), null);
        if (!parsedBase) throw new TypeError('Invalid base URL');
      }
      this.#url = parse(wellFormed(input), parsedBase);
      if (!this.#url) throw new TypeError('Invalid URL');
    }
    static canParse(input, base) {
      try { new URL(input, base); return true; } catch { return false; }
    }
    static parse(input, base) {
      try { return new URL(input, base); } catch { return null; }
    }
    #requery() { if (this.#params) refill(this.#params, this.#url.query); }
    get href() { return serialize(this.#url); }
    set href(value) {
      const url = parse(wellFormed(value), null);
      if (!url) throw new TypeError('Invalid URL');
      Object.assign(this.#url, url);
      this.#requery();
    }
    get origin() {
      const { scheme } = this.#url;
      if (scheme === 'blob:') {
        const inner = parse(pathText(this.#url), null);
        return inner && /^https?:$/.test(inner.scheme) ? inner.scheme + '//' + hostText(inner) : 'null';
      }
      return scheme in SPECIAL && scheme !== 'file:' ? scheme + '//' + hostText(this.#url) : 'null';
    }
    get protocol() { return this.#url.scheme; }
    set protocol(value) {
      const match = /^([a-z][a-z0-9+.-]*)(?::|$)/i.exec(String(value));
      if (!match) return;
      const url = this.#url;
      const scheme = match[1].toLowerCase() + ':';
      if (scheme in SPECIAL !== url.scheme in SPECIAL) return;
      if (scheme === 'file:' && (url.username || url.password || url.port)) return;
      if (url.scheme === 'file:' && url.host === '') return;
      url.scheme = scheme;
      if (url.port === SPECIAL[scheme]) url.port = '';
    }
    get username() { return this.#url.username; }
    set username(value) { if (!hasNoPort(this.#url)) this.#url.username = encode(wellFormed(value), USERINFO); }
    get password() { return this.#url.password; }
    set password(value) { if (!hasNoPort(this.#url)) this.#url.password = encode(wellFormed(value), USERINFO); }
    get host() { return hostText(this.#url); }
    set host(value) { this.#setHost(wellFormed(value), true); }
    get hostname() { return this.#url.host ?? ''; }
    set hostname(value) { this.#setHost(wellFormed(value), false); }
    #setHost(text, withPort) {
      const url = this.#url;
      if (url.opaque !== null) return;
      const special = url.scheme in SPECIAL;
      text = text.replace(/[\t\n\r]/g, '').split(special ? /[/?#\\]/ : /[/?#]/)[0];
      const match = /^(\[[^\]]*\]|[^:]*)(?::(\d*))?/.exec(text);
      if ((!withPort || url.scheme === 'file:') && match[2] !== undefined) return;
      if (match[1] === '' && (special && url.scheme !== 'file:')) return;
      const host = match[1] === '' ? '' : parseHost(match[1], special);
      if (host === null) return;
      url.host = host;
      if (withPort && match[2]) readPort(url, match[2]);
    }
    get port() { return this.#url.port; }
    set port(value) {
      if (hasNoPort(this.#url)) return;
      const text = String(value);
      if (text === '') this.#url.port = '';
      else { const digits = /^\d+/.exec(text); if (digits) readPort(this.#url, digits[0]); }
    }
    get pathname() { return pathText(this.#url); }
    set pathname(value) {
      const url = this.#url;
      if (url.opaque !== null) return;
      url.path = [];
      // "?" and "#" are data here.
      const text = wellFormed(value).replace(/[\t\n\r]/g, '');
      readPath(url, (url.scheme in SPECIAL ? /^[/\\]/ : /^\//).test(text) ? text.slice(1) : text);
      url.path = url.path.map((segment) => segment.replace(/\?/g, '%3F').replace(/#/g, '%23'));
    }
    get search() { return this.#url.query ? '?' + this.#url.query : ''; }
    set search(value) {
      const text = wellFormed(value).replace(/[\t\n\r]/g, '');
      this.#url.query = text === '' ? null : encodeQuery(this.#url, text[0] === '?' ? text.slice(1) : text);
      this.#requery();
    }
    get searchParams() {
      if (!this.#params) {
        this.#params = new URLSearchParams();
        refill(this.#params, this.#url.query);
        attach(this.#params, this.#url);
      }
      return this.#params;
    }
    get hash() { return this.#url.fragment ? '#' + this.#url.fragment : ''; }
    set hash(value) {
      const text = wellFormed(value).replace(/[\t\n\r]/g, '');
      this.#url.fragment = text === '' ? null : encode(text[0] === '#' ? text.slice(1) : text, FRAGMENT);
    }
    toString() { return serialize(this.#url); }
    toJSON() { return serialize(this.#url); }
    get [Symbol.toStringTag]() { return 'URL'; }
  }
  return { URL, URLSearchParams };
}
