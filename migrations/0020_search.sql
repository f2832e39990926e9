-- Runs with the release of migration 0018 and later.
-- A search and what it searches are folded by one function, and the symbol, names, slug and authors are searched, too. The
-- release before finds its stems in the new search words as well. What it had stored is indexed anew in the background.
-- The letters are listed: which letter is the small form of another must not depend on the collations of a server.
--
-- Words are separated by one space, and the parts of a word that has some by one hyphen: "The Fed's S&P 500 10-year" is
-- "the fed s-p 500 10-year". A point stays between digits only.
CREATE FUNCTION fold_words(content text) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path = public, pg_temp AS $$
DECLARE
  folded text := content;
BEGIN
  IF octet_length(folded) <> length(folded) THEN
    -- Apostrophes and dashes, of which some would decompose. Then accents, the points of Hebrew and Arabic, and what can't be
    -- seen, such as the soft hyphen and the joiners.
    folded := translate(folded, U&'`\00B4\02B9\02BB\02BC\02BD\02C8\2018\2019\201A\201B\2032\FF07', rpad('', 13, ''''));
    folded := translate(folded, U&'\2010\2011\2012\2013\2014\2015\2212\2E3A\2E3B\FE58\FE63\FF0D', rpad('', 12, '-'));
    folded := regexp_replace(left(normalize(folded, NFKD), 100000),
      '[\u00ad\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u061c\u0640\u064b-\u065f\u0670\u180b-\u180f\u1ab0-\u1aff\u1dc0-\u1dff\u200b-\u200f\u202a-\u202e\u2060-\u206f\u20d0-\u20ff\ufe00-\ufe0f\ufe20-\ufe2f\ufeff\ufff9-\ufffb\U000e0000-\U000e0fff]+',
      '', 'g');
    folded := normalize(folded, NFKC);
    folded := translate(folded,
      'ÆÐØÞĐĦŁŊŒŦƁƂƄƆƇƉƊƋƎƏƐƑƓƔƖƗƘƜƝƟƢƤƦƧƩƬƮƱƲƳƵƷƸƼǤǶǷȜȠȢȤȺȻȽȾɁɃɄɅɆɈɊɌɎẞΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩςЂЄЅІЈЉЊЋЏАБВГДЕЖЗИКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯѠѢѤѦѨѪѬѮѰѲѴѸѺѼѾҀҊҌҎҐҒҔҖҘҚҜҞҠҢҤҦҨҪҬҮҰҲҴҶҸҺҼҾӀӃӅӇӉӋӍӔӘӠӨӶӺӼӾԀԂԄԆԈԊԌԎԐԒԔԖԘԚԜԞԠԢԤԦԨԪԬԮԱԲԳԴԵԶԷԸԹԺԻԼԽԾԿՀՁՂՃՄՅՆՇՈՉՊՋՌՍՎՏՐՑՒՓՔՕՖᲐᲑᲒᲓᲔᲕᲖᲗᲘᲙᲚᲛᲜᲝᲞᲟᲠᲡᲢᲣᲤᲥᲦᲧᲨᲩᲪᲫᲬᲭᲮᲯᲰᲱᲲᲳᲴᲵᲶᲷᲸᲹᲺᲽᲾᲿøđłħŧı',
      'æðoþdhlŋœtɓƃƅɔƈɖɗƌǝəɛƒɠɣɩɨƙɯɲɵƣƥʀƨʃƭʈʊʋƴƶʒƹƽǥƕƿȝƞȣȥⱥȼƚⱦɂƀʉʌɇɉɋɍɏßαβγδεζηθικλμνξοπρστυφχψωσђєѕіјљњћџабвгдежзиклмнопрстуфхцчшщъыьэюяѡѣѥѧѩѫѭѯѱѳѵѹѻѽѿҁҋҍҏґғҕҗҙқҝҟҡңҥҧҩҫҭүұҳҵҷҹһҽҿӏӄӆӈӊӌӎӕәӡөӷӻӽӿԁԃԅԇԉԋԍԏԑԓԕԗԙԛԝԟԡԣԥԧԩԫԭԯաբգդեզէըթժիլխծկհձղճմյնշոչպջռսվտրցւփքօֆაბგდევზთიკლმნოპჟრსტუფქღყშჩცძწჭხჯჰჱჲჳჴჵჶჷჸჹჺჽჾჿodlhti');
    folded := replace(replace(replace(replace(replace(folded, 'ß', 'ss'), 'æ', 'ae'), 'œ', 'oe'), 'þ', 'th'), 'ð', 'd');
    -- Punctuation and symbols of all scripts.
    folded := regexp_replace(folded,
      '[\u0080-\u00bf\u00d7\u00f7\u02c2-\u02df\u02e5-\u02eb\u02ed\u02ef-\u02ff\u037e\u0387\u055a-\u055f\u0589\u058a\u05be\u05c0\u05c3\u05c6\u05f3\u05f4\u0600-\u060f\u061b-\u061f\u066a-\u066d\u06d4\u0700-\u070d\u07f7-\u07f9\u0964\u0965\u0970\u0e4f\u0e5a\u0e5b\u104a-\u104f\u1361-\u1368\u1680\u17d4-\u17da\u1800-\u180a\u2000-\u206f\u20a0-\u20cf\u2100-\u214f\u2190-\u2bff\u2e00-\u2e7f\u3000-\u3004\u3008-\u3020\u3030\u303d-\u303f\u30fb\ufd3e\ufd3f\ufe10-\ufe1f\ufe30-\ufe6f\uffe0-\uffff\U0001f000-\U0001faff]+',
      ' ', 'g');
    -- Scripts that put no spaces between words: each character is a word, and a search looks for them in their order.
    folded := regexp_replace(folded,
      '([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u2fff\u3005-\u3007\u3021-\u312f\u31a0-\u31bf\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff])',
      ' \1 ', 'g');
  ELSE
    folded := replace(folded, '`', '''');
  END IF;
  folded := lower(folded COLLATE "C");
  -- "2,861.99" is 2861.99, and "Fed's" is Fed. U+0001 stands for the points between digits. No expression looks behind, which
  -- takes quadratic time.
  folded := regexp_replace(folded, '[\u0001-\u0025\u0028-\u002b\u003a-\u005e\u007b-\u007f]+', ' ', 'g');
  folded := regexp_replace(folded, '([0-9]),(?=[0-9]{3}(?![0-9]))', '\1', 'g');
  folded := regexp_replace(folded, '([0-9])\.(?=[0-9])', E'\\1\u0001', 'g');
  folded := regexp_replace(replace(folded, ',', ' '), '([^-&./_'' ])''s(?![^-&./_'' ])', '\1', 'g');
  folded := regexp_replace(folded, '(?:^| )[-&./_'']+', ' ', 'g');
  folded := regexp_replace(folded, '[-&./_'']+(?: |$)', ' ', 'g');
  folded := regexp_replace(folded, '[-&./_'']+', '-', 'g');
  folded := regexp_replace(folded, '([0-9])(?=[a-z])|([a-z])(?=[0-9])', '\1\2-', 'g');
  RETURN btrim(regexp_replace(replace(folded, E'\u0001', '.'), ' {2,}', ' ', 'g'));
END $$;
--> statement-breakpoint
-- The lexemes of a text: each part of a word, its English stem, and a word of two to six parts without its hyphens. They
-- hold no quotes and no backslashes. Of a long text the first 60,000 characters, because a tsvector holds a megabyte. Without
-- JIT: PostgreSQL guesses millions of words, and would compile for longer than it runs.
CREATE FUNCTION search_words(content text) RETURNS tsvector
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path = public, pg_temp SET jit = off AS $$
DECLARE
  folded text := fold_words(left(content, 60000));
BEGIN
  IF octet_length(folded) > 80000 THEN
    folded := left(folded, 20000);
  END IF;
  RETURN (
    WITH words AS (
      SELECT n, word, CASE WHEN word ~ '^[^-]+(-[^-]+){1,5}$' THEN left(replace(word, '-', ''), 100) END AS whole
        FROM string_to_table(folded, ' ') WITH ORDINALITY AS w (word, n)
    ), parts AS (
      SELECT left(part, 100) AS part, whole, row_number() OVER (ORDER BY n, k) AS place
        FROM words CROSS JOIN LATERAL string_to_table(word, '-') WITH ORDINALITY AS p (part, k)
    ), lexemes AS (
      SELECT part AS lexeme, place FROM parts
      UNION ALL
      SELECT (ts_lexize('pg_catalog.english_stem', part))[1], place FROM parts WHERE octet_length(part) = length(part)
      UNION ALL
      SELECT whole, place FROM parts
    ), placed AS (
      SELECT lexeme, string_agg(DISTINCT least(place, 16383)::text, ',') AS places
        FROM lexemes WHERE lexeme <> '' GROUP BY lexeme
    )
    SELECT coalesce(string_agg('''' || lexeme || ''':' || places, ' '), '')::tsvector FROM placed
  );
END $$;
--> statement-breakpoint
-- A text without its spaces and punctuation: equal for "BRK.B" and "brk-b".
CREATE FUNCTION search_key(content text) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path = public, pg_temp AS $$
BEGIN
  RETURN left(translate(fold_words(content), ' -', ''), 100);
END $$;
--> statement-breakpoint
-- What finds a part of a word: the part itself or its English stem; with is_prefix also what begins with it. Only among the
-- words of some weights, such as 'A', or of all for ''.
CREATE FUNCTION search_part(part text, is_prefix boolean, weights text) RETURNS tsquery
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path = public, pg_temp AS $$
DECLARE
  lexeme text := left(part, 100);
  stem text := (ts_lexize('pg_catalog.english_stem', lexeme))[1];
  itself tsquery := '''' || lexeme || ''':' || CASE WHEN is_prefix THEN '*' ELSE '' END || weights;
BEGIN
  IF octet_length(lexeme) <> length(lexeme) OR stem IS NULL OR stem = lexeme THEN
    RETURN itself;
  END IF;
  RETURN itself || ('''' || stem || ''':' || weights)::tsquery;
END $$;
--> statement-breakpoint
-- What finds a word or, of several words, one after the other; empty if there is no letter or digit. The parts of a word may
-- be written together or apart: "10-year" finds "10 year" and "10year".
CREATE FUNCTION search_term(term text, is_prefix boolean, weights text) RETURNS tsquery
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path = public, pg_temp AS $$
DECLARE
  word text;
  parts text[];
  apart tsquery;
  found tsquery;
BEGIN
  FOREACH word IN ARRAY string_to_array(rtrim(left(fold_words(term), 400), ' -'), ' ') LOOP
    parts := string_to_array(word, '-');
    apart := search_part(parts[1], is_prefix AND cardinality(parts) = 1, weights);
    FOR i IN 2 .. cardinality(parts) LOOP
      apart := apart <-> search_part(parts[i], is_prefix AND i = cardinality(parts), weights);
    END LOOP;
    IF cardinality(parts) BETWEEN 2 AND 6 THEN
      apart := apart || search_part(replace(word, '-', ''), is_prefix, weights);
    END IF;
    found := CASE WHEN found IS NULL THEN apart ELSE found <-> apart END;
  END LOOP;
  RETURN coalesce(found, '');
END $$;
--> statement-breakpoint
-- What a framework is found by. Weight A: its title, and its outlook's symbol, instrument and slug. B: its headwinds' titles,
-- and who published a version of the outlook. C: its summary and conditions. D: what it says about headwinds. A lexeme with
-- "=" in front is a whole symbol or slug.
CREATE FUNCTION framework_search(framework frameworks) RETURNS tsvector
LANGUAGE plpgsql STABLE SET search_path = public, pg_temp AS $$
DECLARE
  outlook outlooks;
  instrument instruments;
  headwind_titles text;
  headwind_texts text;
  conditions text;
  authors text;
BEGIN
  SELECT * INTO outlook FROM outlooks WHERE id = framework.outlook_id;
  SELECT * INTO instrument FROM instruments WHERE id = outlook.instrument_id;
  SELECT string_agg(title, E'\n' ORDER BY rank), string_agg(description, E'\n' ORDER BY rank)
    INTO headwind_titles, headwind_texts FROM headwinds WHERE framework_id = framework.id;
  conditions := (SELECT string_agg(statement, E'\n' ORDER BY position) FROM invalidation_conditions
                  WHERE framework_id = framework.id);
  authors := (SELECT string_agg(name, E'\n' ORDER BY name) FROM analysts WHERE id IN (
      SELECT analyst_id FROM forecasters WHERE outlook_id = outlook.id AND source = 'version'
      UNION ALL
      SELECT author_id FROM outlook_versions WHERE outlook_id = outlook.id AND version = outlook.latest_version));
  RETURN setweight(search_words(concat_ws(E'\n', framework.title, instrument.symbol, instrument.name, outlook.slug)), 'A')
      || array_to_tsvector(ARRAY['=' || search_key(instrument.symbol), '=' || search_key(outlook.slug)])
      || setweight(search_words(concat_ws(E'\n', authors, headwind_titles)), 'B')
      || setweight(search_words(concat_ws(E'\n', framework.summary, conditions)), 'C')
      || setweight(search_words(coalesce(headwind_texts, '')), 'D');
END $$;
--> statement-breakpoint
-- A framework of a new outlook waits for the first version, which names the author.
CREATE OR REPLACE FUNCTION index_framework() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  NEW.search := CASE WHEN EXISTS (SELECT FROM outlooks WHERE id = NEW.outlook_id AND latest_version > 0)
                  THEN framework_search(NEW) ELSE '' END;
  RETURN NEW;
END $$;
--> statement-breakpoint
DROP FUNCTION framework_words(bigint, text, text);
--> statement-breakpoint
CREATE FUNCTION guard_framework() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  OLD.search := NEW.search;
  IF NOT OLD *= NEW THEN
    PERFORM refuse('frameworks_append_only', 'UPDATE is refused: what is published stays');
  END IF;
  NEW.search := framework_search(NEW);
  RETURN NEW;
END $$;
--> statement-breakpoint
DROP TRIGGER append_only_update ON frameworks;
--> statement-breakpoint
CREATE TRIGGER guard_framework BEFORE UPDATE ON frameworks FOR EACH ROW EXECUTE FUNCTION guard_framework();
--> statement-breakpoint
-- Has the rights of its owner: the service's role may not change frameworks.
CREATE FUNCTION index_author() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  UPDATE frameworks SET search = '' WHERE id = (SELECT framework_id FROM outlooks WHERE id = NEW.outlook_id);
  RETURN NULL;
END $$;
--> statement-breakpoint
-- A withdrawal is no forecast, but has an author.
CREATE TRIGGER index_author AFTER INSERT ON outlook_versions
  FOR EACH ROW WHEN (NEW.kind = 'withdrawn') EXECUTE FUNCTION index_author();
--> statement-breakpoint
CREATE TRIGGER index_author AFTER INSERT ON forecasters
  FOR EACH ROW WHEN (NEW.source = 'version') EXECUTE FUNCTION index_author();
--> statement-breakpoint
CREATE TABLE "search_backlog" (
	"is_only" boolean PRIMARY KEY DEFAULT true NOT NULL,
	"framework_id" bigint NOT NULL,
	CONSTRAINT "search_backlog_is_only" CHECK ("search_backlog"."is_only")
);
--> statement-breakpoint
-- The trigger took a lock that waited for the frameworks of running transactions, so these are the last without new words.
INSERT INTO search_backlog (framework_id) SELECT max(id) FROM frameworks HAVING max(id) IS NOT NULL;
--> statement-breakpoint
-- Indexes frameworks of earlier releases anew, the newest first, at most this many; returns how many. Has the rights of its
-- owner, as index_author().
CREATE FUNCTION refresh_search(most integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  newest bigint;
  due bigint[];
BEGIN
  SELECT framework_id INTO newest FROM search_backlog FOR UPDATE SKIP LOCKED;
  due := ARRAY(SELECT id FROM frameworks WHERE id <= newest ORDER BY id DESC LIMIT least(most, 1000));
  UPDATE frameworks SET search = '' WHERE id = ANY (due);
  UPDATE search_backlog SET framework_id = due[cardinality(due)] - 1 WHERE due <> '{}';
  DELETE FROM search_backlog WHERE newest IS NOT NULL AND due = '{}';
  RETURN cardinality(due);
END $$;
