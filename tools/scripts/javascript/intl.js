// Intl.NumberFormat and Intl.DateTimeFormat, and the toLocaleString family, for engines without
// Intl. Honest, small: the locales en-US (default), en-GB and de-DE (others fall back to en-US, and
// resolvedOptions says so); numbers in the styles decimal, percent and currency with grouping,
// fraction and significant digits, and compact notation (en); dates in UTC or the local time zone,
// with the fields weekday, year, month, day, hour, minute, second and the styles. Not here: other time zones (RangeError), units,
// other calendars and numbering systems, plural rules, collation, relative times, formatRange.
() => {
  'use strict';
  const HARD = '\u00a0';
  const LOCALES = {
    __proto__: null,
    'en-US': { group: ',', decimal: '.', currency: '¤#', order: 'mdy', separator: '/', pad: 0, h12: true },
    'en-GB': { group: ',', decimal: '.', currency: '¤#', order: 'dmy', separator: '/', pad: 2, h12: false, styles: { short: { year: 'numeric' } } },
    'de-DE': { group: '.', decimal: ',', currency: `#${HARD}¤`, percent: HARD, order: 'dmy', separator: '.', pad: 0, h12: false, styles: { medium: { month: '2-digit', day: '2-digit' }, short: { month: '2-digit', day: '2-digit' } } },
  };
  const SYMBOLS = { __proto__: null, USD: '$', EUR: '€', GBP: '£', JPY: '¥', INR: '₹', CNY: 'CN¥', KRW: '₩', BRL: 'R$', CAD: 'CA$', AUD: 'A$', MXN: 'MX$', NZD: 'NZ$', ILS: '₪', VND: '₫', TWD: 'NT$', HKD: 'HK$' };
  const NO_CENTS = new Set(['JPY', 'KRW', 'VND', 'CLP', 'ISK', 'XAF', 'XOF']);
  const resolveLocale = (locales) => {
    for (const tag of locales === undefined ? [] : Array.isArray(locales) ? locales : [locales]) {
      if (typeof tag !== 'string' || !/^[a-z]{2,8}(-[a-z0-9]{1,8})*$/i.test(tag)) throw new RangeError(`Incorrect locale information provided: ${tag}`);
      const [language, ...rest] = tag.split('-');
      const region = rest.find((part) => /^[a-z]{2}$/i.test(part));
      const exact = `${language.toLowerCase()}-${(region ?? '').toUpperCase()}`;
      if (exact in LOCALES) return exact;
      const same = Object.keys(LOCALES).find((name) => name.startsWith(language.toLowerCase() + '-'));
      if (same) return same;
    }
    return 'en-US';
  };
  const choice = (options, name, values, fallback) => {
    const value = options[name];
    if (value === undefined) return fallback;
    if (!values.includes(String(value))) throw new RangeError(`Value ${String(value)} out of range for option ${name}`);
    return String(value);
  };
  const integer = (options, name, low, high) => {
    if (options[name] === undefined) return undefined;
    const value = Math.floor(Number(options[name]));
    if (!(value >= low && value <= high)) throw new RangeError(`${name} value is out of range`);
    return value;
  };

  // ---- numbers --------------------------------------------------------------------------------
  // Digits are rounded half away from zero on the shortest decimal text of the number, as ICU does.
  const decimalOf = (value) => {
    if (typeof value === 'bigint') return { digits: value.toString(), point: value.toString().length };
    const [mantissa, exponent] = value.toExponential().split('e');
    return { digits: mantissa.replace('.', ''), point: Number(exponent) + 1 };
  };
  const roundAt = ({ digits, point }, keep) => {
    if (keep >= digits.length) return { digits, point };
    if (keep < 0) return { digits: '', point };
    const up = digits[keep] >= '5';
    let kept = digits.slice(0, keep).split('').map(Number);
    if (up) {
      let i = keep - 1;
      while (i >= 0 && kept[i] === 9) kept[i--] = 0;
      if (i >= 0) kept[i]++;
      else { kept.unshift(1); point++; }
    }
    return { digits: kept.join(''), point };
  };
  const plain = ({ digits, point }, minFraction) => {
    const whole = point > 0 ? digits.slice(0, point).padEnd(point, '0') : '0';
    let fraction = point > 0 ? digits.slice(point) : digits === '' ? '' : '0'.repeat(-point) + digits;
    fraction = fraction.replace(/0+$/, '').padEnd(minFraction, '0');
    return [whole.replace(/^0+(?=\d)/, ''), fraction];
  };
  class NumberFormat {
    #options;
    constructor(locales, options = {}) {
      const locale = resolveLocale(locales);
      const style = choice(options, 'style', ['decimal', 'percent', 'currency'], 'decimal');
      const currency = options.currency === undefined ? undefined : String(options.currency).toUpperCase();
      if (style === 'currency' && currency === undefined) throw new TypeError('Currency code is required with currency style.');
      if (currency !== undefined && !/^[A-Z]{3}$/.test(currency)) throw new RangeError(`Invalid currency code : ${options.currency}`);
      const notation = choice(options, 'notation', ['standard', 'compact'], 'standard');
      if (notation === 'compact' && locale === 'de-DE') throw new RangeError('compact notation is not available here for de-DE');
      const cents = style === 'currency' && !NO_CENTS.has(currency) ? 2 : 0;
      let low = integer(options, 'minimumFractionDigits', 0, 100);
      let high = integer(options, 'maximumFractionDigits', 0, 100);
      const defaultLow = style === 'currency' && notation === 'standard' ? cents : 0;
      const defaultHigh = notation === 'compact' ? 0 : style === 'currency' ? cents : style === 'percent' ? 0 : 3;
      if (low === undefined) low = Math.min(defaultLow, high ?? defaultLow);
      else if (high !== undefined && low > high) throw new RangeError('maximumFractionDigits value is out of range.');
      if (high === undefined) high = Math.max(defaultHigh, low);
      const leastSignificant = integer(options, 'minimumSignificantDigits', 1, 21);
      const mostSignificant = integer(options, 'maximumSignificantDigits', 1, 21);
      const compactRounding = notation === 'compact' && options.minimumFractionDigits === undefined && options.maximumFractionDigits === undefined && mostSignificant === undefined && leastSignificant === undefined;
      this.#options = {
        locale, numberingSystem: 'latn', style,
        ...(style === 'currency' && { currency, currencyDisplay: choice(options, 'currencyDisplay', ['symbol', 'narrowSymbol', 'code'], 'symbol') }),
        minimumIntegerDigits: integer(options, 'minimumIntegerDigits', 1, 21) ?? 1,
        minimumFractionDigits: low, maximumFractionDigits: high,
        ...((leastSignificant ?? mostSignificant) !== undefined && {
          minimumSignificantDigits: leastSignificant ?? 1, maximumSignificantDigits: mostSignificant ?? 21,
        }),
        useGrouping: options.useGrouping === undefined ? true : options.useGrouping !== 'false' && Boolean(options.useGrouping),
        notation, signDisplay: choice(options, 'signDisplay', ['auto', 'always', 'never', 'exceptZero', 'negative'], 'auto'),
      };
      Object.defineProperty(this, 'compactRounding', { value: compactRounding });
      // A bound function, as in the standard: it may be passed to map.
      Object.defineProperty(this, 'format', { value: (value) => this.#format(value), writable: true, configurable: true });
    }
    static supportedLocalesOf(locales) {
      return (Array.isArray(locales) ? locales : [locales]).filter((tag) => resolveLocale(tag).split('-')[0] === String(tag).split('-')[0].toLowerCase());
    }
    resolvedOptions() { return { ...this.#options }; }
    #digits(value) {
      const options = this.#options;
      let decimal = decimalOf(value);
      if (options.style === 'percent') decimal = { ...decimal, point: decimal.point + 2 };
      let suffix = '';
      if (options.notation === 'compact') {
        const places = (number) => this.compactRounding
          ? roundAt(number, Math.max(number.point, Math.min(2, number.digits.length)))
          : roundAt(number, number.point + options.maximumFractionDigits);
        const zero = /^0*$/.test(decimal.digits);
        const step = (number) => (zero ? 0 : Math.min(Math.max(Math.floor((number.point - 1) / 3), 0), 4));
        let power = step(decimal);
        let rounded = places({ digits: decimal.digits, point: decimal.point - power * 3 });
        if (rounded.point > 3 && power < 4) { power++; rounded = places({ digits: decimal.digits, point: decimal.point - power * 3 }); }
        suffix = (options.locale === 'en-GB' ? ['', 'k', 'm', 'bn', 'tn'] : ['', 'K', 'M', 'B', 'T'])[power];
        return [...plain(rounded, options.minimumFractionDigits), suffix];
      }
      if (options.maximumSignificantDigits !== undefined) {
        decimal = roundAt(decimal, options.maximumSignificantDigits);
        const shown = Math.max(options.minimumSignificantDigits - Math.max(decimal.point, decimal.digits === '0' ? 1 : decimal.point), 0);
        return [...plain(decimal, shown), suffix];
      }
      decimal = roundAt(decimal, decimal.point + options.maximumFractionDigits);
      return [...plain(decimal, options.minimumFractionDigits), suffix];
    }
    #format(value) {
      const options = this.#options;
      const rules = LOCALES[options.locale];
      if (typeof value !== 'bigint') value = Number(value);
      const negative = value < 0 || Object.is(value, -0);
      let body, isZero = false;
      if (Number.isNaN(value)) body = 'NaN';
      else if (value === Infinity || value === -Infinity) body = '∞';
      else {
        let [whole, fraction, suffix] = this.#digits(negative ? -value : value);
        isZero = /^0*$/.test(whole + fraction);
        whole = whole.padStart(options.minimumIntegerDigits, '0');
        const least = (rules.minGroup ?? 1) + 3;
        if (options.useGrouping && whole.length >= least) whole = whole.replace(/\B(?=(\d{3})+$)/g, rules.group);
        body = whole + (fraction ? rules.decimal + fraction : '') + suffix;
      }
      if (options.style === 'percent') body += (rules.percent ?? '') + '%';
      if (options.style === 'currency') {
        const symbol = this.#symbol();
        const spaced = /[A-Za-z]$/.test(symbol) && /^\d/.test(body) && rules.currency === '¤#' ? symbol + HARD : symbol;
        body = rules.currency.replace('#', () => body).replace('¤', () => spaced);
      }
      const sign = options.signDisplay;
      if (negative && sign !== 'never' && !(isZero && (sign === 'exceptZero' || sign === 'negative'))) return '-' + body;
      if (!negative && (sign === 'always' || (sign === 'exceptZero' && !isZero && !Number.isNaN(value)))) return '+' + body;
      return body;
    }
    #symbol() {
      const { currency, currencyDisplay, locale } = this.#options;
      if (currencyDisplay === 'code' || !(currency in SYMBOLS)) return currency;
      const symbol = SYMBOLS[currency];
      if (currencyDisplay === 'narrowSymbol') return symbol.replace(/^[A-Z]+(?=[$¥])/, '');
      if (locale === 'en-GB' && currency === 'USD') return 'US$';
      if (locale === 'en-GB' && currency === 'JPY') return 'JP¥';
      return symbol;
    }
  }

  // ---- dates ----------------------------------------------------------------------------------
  const MONTHS = {
    en: 'January February March April May June July August September October November December',
    de: 'Januar Februar März April Mai Juni Juli August September Oktober November Dezember',
  };
  const DAYS = {
    en: 'Sunday Monday Tuesday Wednesday Thursday Friday Saturday',
    de: 'Sonntag Montag Dienstag Mittwoch Donnerstag Freitag Samstag',
  };
  const two = (number) => String(number).padStart(2, '0');
  const STYLES = {
    full: { weekday: 'long', year: 'numeric', month: 'long', day: 'numeric' },
    long: { year: 'numeric', month: 'long', day: 'numeric' },
    medium: { year: 'numeric', month: 'short', day: 'numeric' },
    short: { year: '2-digit', month: 'numeric', day: 'numeric' },
  };
  const DATE_FIELDS = ['weekday', 'year', 'month', 'day'];
  const TIME_FIELDS = ['hour', 'minute', 'second'];
  class DateTimeFormat {
    #locale; #fields; #zone; #h12; #zoneName;
    constructor(locales, options = {}, needed = 'date', defaults = 'date') {
      this.#locale = resolveLocale(locales);
      const zone = options.timeZone;
      if (zone !== undefined && !/^(utc|gmt|etc\/(utc|gmt))$/i.test(String(zone))) {
        throw new RangeError(`Time zone ${zone} is not available here: only UTC and the local time zone are`);
      }
      this.#zone = zone === undefined ? undefined : 'UTC';
      const fields = {};
      const width = ['numeric', '2-digit'];
      const allowed = { weekday: ['long', 'short', 'narrow'], year: width, month: [...width, 'long', 'short', 'narrow'], day: width, hour: width, minute: width, second: width };
      for (const name of [...DATE_FIELDS, ...TIME_FIELDS]) {
        const value = choice(options, name, allowed[name], undefined);
        if (value !== undefined) fields[name] = value;
      }
      const dateStyle = choice(options, 'dateStyle', Object.keys(STYLES), undefined);
      const timeStyle = choice(options, 'timeStyle', Object.keys(STYLES), undefined);
      if ((dateStyle || timeStyle) && Object.keys(fields).length) throw new TypeError("Can't set option with dateStyle or timeStyle");
      if (dateStyle) Object.assign(fields, STYLES[dateStyle], LOCALES[this.#locale].styles?.[dateStyle]);
      if (timeStyle) Object.assign(fields, { hour: 'numeric', minute: '2-digit' }, timeStyle !== 'short' && { second: '2-digit' });
      const asked = { date: DATE_FIELDS, time: TIME_FIELDS, any: [...DATE_FIELDS, ...TIME_FIELDS] }[needed];
      if (!dateStyle && !timeStyle && !asked.some((name) => name in fields)) {
        if (needed !== 'any' || !Object.keys(fields).length) {
          if (defaults !== 'time') Object.assign(fields, { year: 'numeric', month: 'numeric', day: 'numeric' });
          if (defaults !== 'date') Object.assign(fields, { hour: 'numeric', minute: '2-digit', second: '2-digit' });
        }
      }
      this.#fields = fields;
      const cycle = options.hourCycle;
      this.#h12 = options.hour12 === undefined ? (cycle ? /^h1[12]$/.test(cycle) : LOCALES[this.#locale].h12) : Boolean(options.hour12);
      this.#zoneName = choice(options, 'timeZoneName', ['short', 'long'], timeStyle === 'full' || timeStyle === 'long' ? 'short' : undefined);
      Object.defineProperty(this, 'format', { value: (date) => this.#format(date), writable: true, configurable: true });
    }
    static supportedLocalesOf(locales) { return NumberFormat.supportedLocalesOf(locales); }
    resolvedOptions() {
      const offset = new Date().getTimezoneOffset();
      const local = offset === 0 ? 'UTC' : `${offset < 0 ? '+' : '-'}${two(Math.floor(Math.abs(offset) / 60))}:${two(Math.abs(offset) % 60)}`;
      return { locale: this.#locale, calendar: 'gregory', numberingSystem: 'latn', timeZone: this.#zone ?? local, ...this.#fields };
    }
    #format(value) {
      const date = value === undefined ? new Date() : new Date(value);
      if (Number.isNaN(date.getTime())) throw new RangeError('Invalid time value');
      const read = (name) => (this.#zone ? date[`getUTC${name}`]() : date[`get${name}`]());
      const day = this.#date(read);
      const time = this.#time(read, date);
      const spelled = this.#fields.month === 'long' && this.#fields.hour;
      const joined = !spelled ? ', ' : this.#locale === 'de-DE' ? ' um ' : ' at ';
      return [day, time].filter((part) => part !== '').join(joined);
    }
    #date(read) {
      const fields = this.#fields;
      const rules = LOCALES[this.#locale];
      const language = this.#locale.slice(0, 2);
      const name = (list, index, width) => {
        const word = list[language].split(' ')[index];
        if (width === 'long') return word;
        if (width === 'narrow') return word[0].toUpperCase();
        if (language !== 'de') return this.#locale === 'en-GB' && word === 'September' ? 'Sept' : word.slice(0, 3);
        if (list === DAYS) return word.slice(0, 2) + '.';
        return word.length < 5 ? word : word === 'September' ? 'Sept.' : word.slice(0, 3) + '.';
      };
      const weekday = fields.weekday && name(DAYS, read('Day'), fields.weekday);
      const year = fields.year && (fields.year === '2-digit' ? two(read('FullYear') % 100) : String(read('FullYear')));
      const textMonth = fields.month && fields.month !== 'numeric' && fields.month !== '2-digit';
      const all = fields.year && fields.month && fields.day;
      const pad = (number, width) => (width === '2-digit' || (rules.pad && !textMonth && (fields.month && fields.day)) ? two(number) : String(number));
      const month = fields.month && (textMonth ? name(MONTHS, read('Month'), fields.month) : pad(read('Month') + 1, fields.month));
      const day = fields.day && pad(read('Date'), fields.day);
      let text;
      if (textMonth) {
        if (rules.order === 'mdy') text = [[month, day].filter(Boolean).join(' '), year].filter(Boolean).join(day ? ', ' : ' ');
        else {
          const dot = language === 'de' && day ? '.' : '';
          text = [day && day + dot, month, year].filter(Boolean).join(' ');
        }
      } else {
        const parts = rules.order === 'mdy' ? [month, day, year] : [day, month, year];
        text = parts.filter(Boolean).join(day ? rules.separator : '/');
        if (language === 'de' && !all && fields.day && fields.month) text += '.';
      }
      return [weekday, text].filter(Boolean).join(this.#locale === 'en-GB' && !fields.year && textMonth ? ' ' : ', ');
    }
    #time(read, date) {
      const fields = this.#fields;
      if (!fields.hour && !fields.minute && !fields.second) return '';
      const hours = read('Hours');
      const shown = this.#h12 ? hours % 12 || 12 : hours;
      const parts = [];
      if (fields.hour) parts.push(fields.hour === '2-digit' || !this.#h12 ? two(shown) : String(shown));
      if (fields.minute) parts.push(fields.hour || fields.second ? two(read('Minutes')) : String(read('Minutes')));
      if (fields.second) parts.push(fields.minute ? two(read('Seconds')) : String(read('Seconds')));
      let text = parts.join(':');
      if (fields.hour && this.#h12) text += ' ' + (this.#locale === 'en-GB' ? (hours < 12 ? 'am' : 'pm') : hours < 12 ? 'AM' : 'PM');
      if (this.#zoneName) {
        const offset = this.#zone ? 0 : -date.getTimezoneOffset();
        const size = Math.abs(offset);
        text += offset === 0 ? ' UTC' : ` GMT${offset < 0 ? '-' : '+'}${Math.floor(size / 60)}${size % 60 ? ':' + two(size % 60) : ''}`;
      }
      return text;
    }
  }
  const dateText = (needed, defaults) => (date, locales, options) =>
    Number.isNaN(date.getTime()) ? 'Invalid Date' : new DateTimeFormat(locales, options, needed, defaults).format(date);
  return {
    Intl: Object.defineProperty({ NumberFormat, DateTimeFormat, getCanonicalLocales: (tags) => (Array.isArray(tags) ? [...tags] : tags === undefined ? [] : [tags]) }, Symbol.toStringTag, { value: 'Intl', configurable: true }),
    numberText: (number, locales, options) => new NumberFormat(locales, options).format(number),
    toLocaleString: dateText('any', 'all'),
    toLocaleDateString: dateText('date', 'date'),
    toLocaleTimeString: dateText('time', 'time'),
  };
}
