// Runs first in every context and returns the functions the worker calls. Only strings and numbers
// cross: JSON text in, JSON text out. What a script can influence (getters, toJSON, toString of a
// thrown object) runs inside these calls, so under the limits. Everything used after the first
// script has run is captured here, because scripts may patch the globals.
(() => {
'use strict';
// sections: JSON list of the names each of the sources defines; seed: 64 hexadecimal digits.
return (sections, seed, ...sources) => {
  const { apply, defineProperty } = Reflect;
  const { parse, stringify } = JSON;
  const { create, hasOwn, keys } = Object;
  const GlobalRegExp = RegExp;
  const GlobalPromise = Promise;
  const promiseThen = Promise.prototype.then;
  const GlobalString = String;
  const GlobalError = Error;
  const GlobalSyntaxError = SyntaxError;
  const GlobalRangeError = RangeError;
  const compileText = globalThis.eval;
  const bind = Function.prototype.bind;
  const uncurry = (method) => apply(bind, bind.call, [method]);
  const slice = uncurry(GlobalString.prototype.slice);
  const indexOf = uncurry(GlobalString.prototype.indexOf);
  const lastIndexOf = uncurry(GlobalString.prototype.lastIndexOf);
  const startsWith = uncurry(GlobalString.prototype.startsWith);
  const trim = uncurry(GlobalString.prototype.trim);
  const replace = uncurry(GlobalString.prototype.replace);
  const test = uncurry(GlobalRegExp.prototype.test);
  const numberOf = Number.prototype.valueOf;
  const bigIntOf = BigInt.prototype.valueOf;
  const bigIntText = uncurry(BigInt.prototype.toString);

  const UNDEFINED = 0, VALUE = 1, TEXT = 2, ERROR = 3, SYNTAX = 4, LIMIT = 5, PENDING = 6;
  const FUNCTION = 0, STOP_CONDITION = 2;
  const MAX_MESSAGE = 2000, MAX_CACHED = 500, MAX_LOGS = 200;

  // ---- outcomes -------------------------------------------------------------------------------
  let state = UNDEFINED;
  let text = '';
  let settled;

  const isError = (value) => {
    try { return value instanceof GlobalError; } catch { return false; }
  };
  const fail = (message, outcome) => {
    state = outcome;
    return stringify(message.length > MAX_MESSAGE ? slice(message, 0, MAX_MESSAGE) : message);
  };
  const failWith = (error) => {
    let message = 'uncaught exception';
    try {
      if (isError(error)) {
        const own = error.message;
        message = typeof own === 'string' ? own : GlobalString(own);
        if (error.name === 'InternalError' && message === 'out of memory') return fail('memory', LIMIT);
        if (error instanceof GlobalRangeError && message === 'Maximum call stack size exceeded') {
          return fail('stack', LIMIT);
        }
        if (message === '') message = GlobalString(error.name);
      } else if (typeof error === 'string') {
        message = error;
      } else {
        const json = stringify(error);
        message = json === undefined ? GlobalString(error) : json;
      }
    } catch { /* the thrown object throws when it is looked at */ }
    return fail(message, ERROR);
  };
  const succeed = (value, form, maxOutput) => {
    const type = typeof value;
    if (type === 'bigint' && form === FUNCTION) {
      // Its digits are JSON, exact.
      state = VALUE;
      return bigIntText(value);
    }
    const json = stringify(value);
    if (json === undefined || (type === 'number' && json === 'null')) {
      state = type === 'undefined' ? UNDEFINED : TEXT;
      if (type === 'undefined') return '';
      // As JSON text, because the binding cannot return the rope a concatenation makes.
      text = stringify(GlobalString(value));
      return 'null';
    }
    if (json.length > maxOutput) return fail('output', LIMIT);
    state = VALUE;
    return json;
  };

  // ---- compiling ------------------------------------------------------------------------------
  // Each source stands in two different brackets: one that closes the bracket it stands in, to run
  // code while it is compiled, does not parse in the other. The second copy never runs.
  const PARAMETERS = ['', 'sourceData, input, $', 'response, pageInfo, sourceData'];
  const asExpression = (source, form) => compileText(
    '((' + PARAMETERS[form] + ') => {\nreturn (\n' + source + '\n);\n[\n' + source + '\n];\n})',
  );
  const asBody = (source, form) => {
    const parameters = PARAMETERS[form];
    return compileText(
      '[(' + parameters + ') => {\n' + source + '\n}, (' + parameters + ') => {{\n' + source + '\n}}]',
    )[0];
  };
  const isNameCharacter = (code) =>
    code === 36 || code === 95 || (code > 47 && code < 58) || (code > 64 && code < 91) ||
    (code > 96 && code < 123) || code > 127;
  const codeAt = uncurry(GlobalString.prototype.charCodeAt);
  const withoutSemicolons = (source) => {
    source = trim(source);
    while (source.length && codeAt(source, source.length - 1) === 59) {
      source = trim(slice(source, 0, source.length - 1));
    }
    return source;
  };
  const compileOnce = (source, form) => {
    if (form === STOP_CONDITION && startsWith(source, 'return') && !isNameCharacter(codeAt(source, 6) || 0)) {
      return asBody(source, form);
    }
    if (form === 1 && codeAt(source, 0) === 46 && !(codeAt(source, 1) > 47 && codeAt(source, 1) < 58)) {
      source = 'sourceData' + source;
    }
    return asExpression(source, form);
  };
  const compile = (source, form) => {
    source = withoutSemicolons(source);
    try {
      return compileOnce(source, form);
    } catch (error) {
      if (!(error instanceof GlobalSyntaxError)) throw error;
      // `x => x.a; // why` is an expression once the comment and the semicolon are gone.
      let rest = source;
      for (let tries = 0; tries < 8; tries++) {
        const line = lastIndexOf(rest, '\n') + 1;
        const comment = indexOf(rest, '//', line);
        if (comment < 0) break;
        rest = withoutSemicolons(slice(rest, 0, comment));
        try { return compileOnce(rest, form); } catch { /* the first error is the one to tell */ }
      }
      throw error;
    }
  };

  let caches = [create(null), create(null), create(null)];
  let cached = 0;
  const compiled = (source, form) => {
    const found = caches[form][source];
    if (found !== undefined) return found;
    const made = compile(source, form);
    if (++cached > MAX_CACHED) {
      caches = [create(null), create(null), create(null)];
      cached = 1;
    }
    caches[form][source] = made;
    return made;
  };

  // ---- watched names --------------------------------------------------------------------------
  // Reading one of these properties is told to the caller, however it is read.
  let read = create(null);
  let hasRead = false;
  const watch = (data, names) => {
    for (let i = 0; i < names.length; i++) {
      const name = names[i];
      if (!hasOwn(data, name)) continue;
      const value = data[name];
      defineProperty(data, name, {
        __proto__: null,
        get() { read[name] = hasRead = true; return value; },
        set(other) {
          defineProperty(data, name, {
            __proto__: null, value: other, writable: true, enumerable: true, configurable: true,
          });
        },
        enumerable: true,
        configurable: true,
      });
    }
  };

  // ---- evaluating -----------------------------------------------------------------------------
  // A promise of an earlier evaluation may settle during a later one: only the newest counts.
  let newest = 0;
  const settle = (value, form, maxOutput) => {
    const mine = ++newest;
    const onValue = (result) => {
      if (mine !== newest) return;
      try { settled = succeed(result, form, maxOutput); } catch (error) { settled = failWith(error); }
    };
    const onError = (error) => { if (mine === newest) settled = failWith(error); };
    const awaitIt = async () => {
      try { onValue(await value); } catch (error) { onError(error); }
    };
    // `await` would look at the constructor of a promise and call its `then`, patched or not.
    if (value instanceof GlobalPromise) apply(promiseThen, value, [onValue, onError]);
    else awaitIt();
  };
  const evaluate = (source, form, args, maxOutput) => {
    let unit;
    try {
      unit = compiled(source, form);
    } catch (error) {
      const message = failWith(error);
      if (state === ERROR) state = SYNTAX;
      return message;
    }
    try {
      const given = parse(args);
      let value;
      if (form === STOP_CONDITION) {
        value = unit(given[0], given[1], given[2]);
        if (typeof value === 'function') value = value(given[0], given[1], given[2]);
      } else {
        const data = given[0];
        if (given.length > 1) watch(data, given[1]);
        value = form === FUNCTION ? unit() : unit(data, data, data);
        if (typeof value === 'function') value = value(data);
        else if (form === FUNCTION) return fail('the expression is not a function', ERROR);
      }
      if (value !== null && typeof value === 'object' && typeof value.then === 'function') {
        settled = undefined;
        state = PENDING;
        settle(value, form, maxOutput);
        // No JSON text: V8 may have settled it, and the state, before it is asked for.
        return 'pending';
      }
      return succeed(value, form, maxOutput);
    } catch (error) {
      return failWith(error);
    }
  };
  const check = (scripts) => {
    const list = parse(scripts);
    const messages = [];
    for (let i = 0; i < list.length; i++) {
      let message = null;
      try {
        compile(list[i][1], list[i][0]);
      } catch (error) {
        message = parse(failWith(error));
        if (state === LIMIT) message = 'the code is nested too deeply';
      }
      defineProperty(messages, i, { value: message, enumerable: true });
    }
    state = VALUE;
    return stringify(messages);
  };

  // ---- patterns of response filters: trusted code, in a context no script runs in -----------------
  let pattern = -1;
  const expressions = create(null);
  const expression = (source, flags) => {
    const key = flags + '/' + source;
    return expressions[key] ??= new GlobalRegExp(source, flags);
  };
  const guarded = (work) => (request) => {
    pattern = -1;
    try {
      const json = stringify(work(parse(request)));
      state = VALUE;
      return json;
    } catch (error) {
      const message = failWith(error);
      if (state === ERROR && error instanceof GlobalSyntaxError) state = SYNTAX;
      return message;
    }
  };
  const matchPatterns = guarded(({ patterns, texts }) => {
    const made = [];
    for (pattern = 0; pattern < patterns.length; pattern++) made[pattern] = expression(patterns[pattern], 'i');
    const rows = [];
    for (let i = 0; i < texts.length; i++) {
      let row = '';
      for (pattern = 0; pattern < made.length; pattern++) row += test(made[pattern], texts[i]) ? '1' : '0';
      rows[i] = row;
    }
    return rows;
  });
  const replaceMatches = guarded(({ texts, pattern: source, replacement }) => {
    pattern = 0;
    const made = expression(source, 'gi');
    for (let i = 0; i < texts.length; i++) texts[i] = replace(texts[i], made, replacement);
    return texts;
  });

  // ---- globals --------------------------------------------------------------------------------
  const hidden = ['SharedArrayBuffer', 'Atomics', 'WebAssembly', 'performance', 'navigator'];
  for (let i = 0; i < hidden.length; i++) delete globalThis[hidden[i]];

  let logs = [];
  let logged = 0;
  const line = (value) => {
    if (typeof value === 'string') return value;
    try {
      if (isError(value)) return GlobalString(value);
      const json = value !== null && typeof value === 'object' ? stringify(value) : undefined;
      return json === undefined ? GlobalString(value) : json;
    } catch { return '[unprintable]'; }
  };
  const consoleMethod = (level) => (...values) => {
    if (logged >= MAX_LOGS) return;
    let message = '';
    for (let i = 0; i < values.length && message.length <= MAX_MESSAGE; i++) {
      message += (i ? ' ' : '') + line(values[i]);
    }
    const entry = [level, slice(message, 0, MAX_MESSAGE)];
    defineProperty(logs, logs.length, { value: entry, enumerable: true });
    logged++;
  };
  const hide = (name, value) => defineProperty(globalThis, name, { value, writable: true, configurable: true });
  const console = {};
  const levels = ['log', 'info', 'warn', 'error', 'debug'];
  for (let i = 0; i < levels.length; i++) console[levels[i]] = consoleMethod(levels[i]);
  console.trace = console.debug;
  hide('console', console);

  // The rest of the prelude is compiled when a script first names it: most scripts never do.
  const loaded = [];
  const load = (section) => loaded[section] ??= compileText(sources[section])(seed);
  const sectionNames = parse(sections);
  for (let section = 0; section < sectionNames.length; section++) {
    const names = sectionNames[section];
    for (let i = 0; i < names.length; i++) {
      const name = names[i];
      if (name in globalThis) continue;
      defineProperty(globalThis, name, {
        get() {
          const value = load(section)[name];
          hide(name, value);
          return value;
        },
        set(value) { hide(name, value); },
        configurable: true,
      });
    }
  }

  // Without Intl the engine's own toLocale… methods ignore their arguments.
  const INTL = sectionNames.length - 1;
  if (apply(Object.prototype.hasOwnProperty, Object.getOwnPropertyDescriptor(globalThis, 'Intl'), ['get'])) {
    const method = (prototype, name, work) => defineProperty(prototype, name, {
      value: { [name](locales, options) { return work(this, locales, options); } }[name],
      writable: true,
      configurable: true,
    });
    const numberText = (value, locales, options) => load(INTL).numberText(value, locales, options);
    method(Number.prototype, 'toLocaleString', (value, ...rest) => numberText(apply(numberOf, value, []), ...rest));
    method(BigInt.prototype, 'toLocaleString', (value, ...rest) => numberText(apply(bigIntOf, value, []), ...rest));
    for (const name of ['toLocaleString', 'toLocaleDateString', 'toLocaleTimeString']) {
      method(Date.prototype, name, (...values) => load(INTL)[name](...values));
    }
  }

  return [
    evaluate,
    check,
    matchPatterns,
    replaceMatches,
    () => settled === undefined ? '' : settled,
    () => text,
    () => state + (logs.length ? 16 : 0) + (hasRead ? 32 : 0),
    () => { const json = stringify(logs); logs = []; return json; },
    () => pattern,
    () => { const json = stringify(keys(read)); read = create(null); hasRead = false; return json; },
  ];
};
})()
