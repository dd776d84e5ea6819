/** Reads language tags (BCP 47): which of them mean one language. */

/**
 * Languages that have another code, as `code>language`: the aliases of Unicode CLDR 48.2 (supplemental/aliases.json, Unicode License v3,
 * © Unicode, Inc.) that `Intl.getCanonicalLocales` leaves as they are: macrolanguages, bibliographic codes of ISO 639-2 and withdrawn codes.
 */
const languageAliases = `
  agp>apf ais>ami ajp>apc ajt>aeb aju>jrb alb>sq als>sq arb>ar arm>hy asd>snz ayr>ay azj>az baq>eu baz>nvo bcc>bal
  bcl>bik bh>bho bhk>fbl bic>bir bih>bho bjq>bzc bkb>ebk blg>iba btb>beb bur>my bxk>luy bxr>bua chi>zh cld>syr cls>sa
  cmn>zh cnr>sr cwd>cr cze>cs daf>dnj dap>njz dek>sqm dgo>doi dhd>mwr dik>din diq>zza dit>dif djl>dze dkl>aqd drh>mn
  drr>kzk drw>fa dud>uth duj>dwu dut>nl dwl>dbt ekk>et elp>amq emk>man esk>ik fat>ak fre>fr fuc>ff gaz>om gbc>wny
  gbo>grb geo>ka ger>de ggo>esg ggr>gtu gio>aou gli>kzk gno>gon gom>kok gre>el gug>gn gya>gba hbs>sr hdn>hai hea>hmn
  him>srx ice>is ike>iu ill>ilm izi>eza jar>jgk kdv>zkd kgd>ncq kgm>plu khk>mn kmr>ku knc>kr kng>kg kpp>jkm kpv>kv
  kxl>kru kzh>dgl lak>ksp lbk>bnc leg>enl llo>ngt lvs>lv mac>mk mao>mi may>ms mgx>jbk mhr>chm mnt>wnn mof>xnt mup>raj
  mwd>dmw myd>aog nbf>nru nbx>gll nln>azd nlr>nrk nns>nbr nom>cbr noo>dtd npi>ne nte>eko nxu>bpp ojg>oj ory>or pat>kxr
  pbu>ps per>fa pes>fa plt>mg pmk>crr pnb>lah prp>gu prs>fa quz>qu rmr>emx rmy>rom rum>ro sap>aqt scc>sr scr>hr
  sgl>isk sh>sr slo>sk smd>kmb snb>iba spy>kln src>sc sul>sgd sum>ulw swc>sw swh>sw szd>umi tgg>bjp tgl>fil thw>ola
  tib>bo tid>itd tl>fil tmk>tdg tnf>fa tpw>tpn ttq>tmh tw>ak twi>ak umu>del unp>wro uzn>uz wel>cy wgw>wgb wit>nol
  wiw>nwo xpe>kpe xrq>dmw xsl>den xss>zko ydd>yi yen>ynq yiy>yrm zai>zap zir>scv zkb>kjh zsm>ms zyb>za`;

/** Tags as a whole: those that `Intl` can't read, or reads as something else. */
const tagAliases = `
  aa-saaho>ssy cel-gaulish>xtg en-gb-oed>en i-ami>ami i-bnn>bnn i-hak>hak i-klingon>tlh i-lux>lb i-navajo>nv i-pwn>pwn i-tao>tao
  i-tay>tay i-tsu>tsu no-bok>no no-bokmal>no no-nyn>nn no-nynorsk>nn sgn-be-fr>sfb sgn-be-nl>vgt sgn-ch-de>sgg zh-min>nan
  zh-min-nan>nan`;

/** The languages that most speakers of a code mean. `no` nearly always means Bokmål (CLDR, likely subtags). */
const ownAliases = "nb>no";

/** Codes that name no language: undetermined, several, none, without a code. */
const noLanguage = "und> mul> zxx> mis>";

const aliases: ReadonlyMap<string, string> = new Map(
  [languageAliases, tagAliases, ownAliases, noLanguage]
    .join(" ")
    .trim()
    .split(/\s+/)
    .map((pair) => pair.split(">") as [code: string, language: string]),
);

/**
 * A tag as browsers send most of them, whose primary subtag is in its canonical form already: asking `Intl` is slow. Codes that have
 * an alias are left out.
 */
const usualTag =
  /^(?!bh|i[nw]|j[iw]|mo|nb|sh|t[lw])[a-z]{2}(?:-[A-Z][a-z]{3})?(?:-(?:[A-Z]{2}|[0-9]{3}))?$/;

/** A language with an extended language subtag (RFC 5646, 2.2.2), which is its canonical form (4.5): `zh-yue` is `yue`. `Intl` refuses these. */
const extendedTag = /^(?:ar|kok|lv|ms|sgn|sw|uz|zh)-(?=[a-z]{3}(?:-|$))/i;

/**
 * The language of a BCP 47 tag as its canonical primary subtag: `he` for `iw-IL`, `de` for `deu`, `zh` for `cmn-Hant`. Empty
 * for a tag that is malformed or names no language.
 */
export function primaryLanguage(tag: string): string {
  if (usualTag.test(tag)) return tag.slice(0, 2);
  const whole = aliases.get(tag.toLowerCase());
  if (whole !== undefined) return whole;
  try {
    const [canonical = ""] = Intl.getCanonicalLocales(tag.replace(extendedTag, ""));
    const [primary = ""] = canonical.split("-", 1);
    return aliases.get(primary) ?? primary;
  } catch {
    return "";
  }
}
