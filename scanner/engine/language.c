#include "scanner/engine/language.h"

#include "common/utf8.h"

#include <glib.h>
#include <string.h>

#define WORDS_MOST 1000 /* that are looked up */
#define WORD_BYTES 32   /* longer ones are no frequent words */
#define LEAST_LETTERS 2 /* of a script of its own */
#define LEAST_SCORE 1.5 /* of a language in Latin script: about two of its own words */
#define LEAST_SHARE 0.1 /* of the score in the number of words */
#define LEAST_LEAD 1.25 /* over the next one */
#define LETTER_WEIGHT 0.3
#define DENSE 3 /* letters of an alphabet that one character of Chinese or Japanese stands for */

/* --- scripts --- */

enum group {
    GROUP_LATIN,
    GROUP_CYRILLIC,
    GROUP_ARABIC,
    GROUP_HAN,
    GROUP_KANA,
    GROUP_HANGUL,
    GROUP_OTHERS, /* scripts that one language is told from */
};

static const struct {
    GUnicodeScript script;
    const char *language;
} own_scripts[] = {
    {G_UNICODE_SCRIPT_GREEK, "el"},     {G_UNICODE_SCRIPT_HEBREW, "he"},
    {G_UNICODE_SCRIPT_THAI, "th"},      {G_UNICODE_SCRIPT_DEVANAGARI, "hi"},
    {G_UNICODE_SCRIPT_BENGALI, "bn"},   {G_UNICODE_SCRIPT_TAMIL, "ta"},
    {G_UNICODE_SCRIPT_TELUGU, "te"},    {G_UNICODE_SCRIPT_KANNADA, "kn"},
    {G_UNICODE_SCRIPT_MALAYALAM, "ml"}, {G_UNICODE_SCRIPT_GUJARATI, "gu"},
    {G_UNICODE_SCRIPT_GURMUKHI, "pa"},  {G_UNICODE_SCRIPT_SINHALA, "si"},
    {G_UNICODE_SCRIPT_GEORGIAN, "ka"},  {G_UNICODE_SCRIPT_ARMENIAN, "hy"},
    {G_UNICODE_SCRIPT_KHMER, "km"},     {G_UNICODE_SCRIPT_LAO, "lo"},
    {G_UNICODE_SCRIPT_MYANMAR, "my"},   {G_UNICODE_SCRIPT_ETHIOPIC, "am"},
    {G_UNICODE_SCRIPT_TIBETAN, "bo"},   {G_UNICODE_SCRIPT_MONGOLIAN, "mn"},
};

#define GROUPS (GROUP_OTHERS + G_N_ELEMENTS(own_scripts))

static int group_of(gunichar c)
{
    GUnicodeScript script = g_unichar_get_script(c);
    switch (script) {
    case G_UNICODE_SCRIPT_LATIN:
        return GROUP_LATIN;
    case G_UNICODE_SCRIPT_CYRILLIC:
        return GROUP_CYRILLIC;
    case G_UNICODE_SCRIPT_ARABIC:
        return GROUP_ARABIC;
    case G_UNICODE_SCRIPT_HAN:
        return GROUP_HAN;
    case G_UNICODE_SCRIPT_HIRAGANA:
    case G_UNICODE_SCRIPT_KATAKANA:
        return GROUP_KANA;
    case G_UNICODE_SCRIPT_HANGUL:
        return GROUP_HANGUL;
    default:
        break;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(own_scripts); i++)
        if (own_scripts[i].script == script)
            return GROUP_OTHERS + (int)i;
    return -1;
}

/* --- letters that tell languages of one script apart --- */

struct marks {
    const char *language, *letters;
};

/* The first one is the language where none of the letters of the others stands. */
static const struct marks cyrillic[] = {
    {"ru", "ыэё"}, {"uk", "іїєґ"}, {"be", "ў"}, {"sr", "јљњђћџ"}, {"mk", "ѓќѕ"}, {"bg", "ъѝ"},
};
static const struct marks arabic[] = {
    {"ar", "ةىأإ"},
    {"ur", "ٹڈڑےں"},
    {"fa", "پچژگی"},
};

/* Whether the character at `at` is one of the letters; ASCII is none. */
static bool is_letter_of(const char *letters, const char *at, size_t bytes)
{
    return bytes > 1 && memmem(letters, strlen(letters), at, bytes) != NULL;
}

static const char *by_letters(const struct marks *marks, size_t count, const char *text,
                              size_t length)
{
    size_t best = 0, most = 0;
    for (size_t i = 0; i < count; i++) {
        size_t found = 0;
        for (size_t at = 0, bytes; at < length; at += bytes) {
            bytes = utf8_sequence(text + at, length - at);
            bytes = bytes ? bytes : 1;
            found += is_letter_of(marks[i].letters, text + at, bytes);
        }
        if (found > most) {
            best = i;
            most = found;
        }
    }
    return marks[best].language;
}

/* --- Latin script --- */

struct language {
    const char *code;
    const char *words;   /* the frequent ones, each between blanks */
    const char *letters; /* that English has not */
};

static const struct language languages[] = {
    {"en",
     " the and of to in is you that it for on with as are this be at have from or by not but we "
     "your will can all if they which has our was what there would about please their been were "
     "more when do an my no so me let know any how could should thank thanks regards dear attached "
     "invoice hello best ",
     ""},
    {"de",
     " der die das und ist nicht ich sie mit für auf ein eine einen einem einer den dem des zu von "
     "wir es im auch sich wie bei oder aber wird werden sind haben hat wenn noch nach aus nur kann "
     "bitte ihnen ihr ihre mir uns über zum zur dass war vom keine mehr sehr unser unsere diese "
     "dieser hallo grüße rechnung anbei vielen dank ",
     "ßäöü"},
    {"fr",
     " le la les des et est que pour dans une un du vous nous je pas sur avec ce cette qui au aux "
     "ne il elle sont par plus votre notre mais ou se son sa ses être avoir fait comme tout merci "
     "été cela où même leur vos nos de en a bien ont peut très si bonjour cordialement facture "
     "joint avons sommes nos ",
     "éèêàçùîôëœûâ"},
    {"es",
     " el la los las de que y en un una es por con para no se su del al lo como más pero sus le ya "
     "o fue este ha sí porque esta entre cuando muy sin sobre también me hasta hay donde usted nos "
     "gracias está son si todo desde ser nuestro a hola saludos factura adjunto estimado nuestra "
     "hemos ",
     "ñáíóúé¿¡"},
    {"it",
     " il lo la i gli le di che e è un una per in con non del della dei delle al alla si da sono "
     "come più ma anche se ho ha nel nella questo questa ci mi suo sua o grazie vi essere quando "
     "molto noi perché dal dalla degli nostro a vostro vostra buongiorno saluti cordiali fattura "
     "allegato siamo abbiamo ",
     "àèìòùé"},
    {"pt",
     " o a os as de que e do da em um uma para com não por no na dos das se mais como mas foi ao "
     "ele sua seu ou quando muito nos já eu também só pelo pela até isso ela entre você obrigado "
     "está são tem seus aos nosso nossa olá cumprimentos fatura anexo prezado temos ",
     "ãõçáâêéíóúà"},
    {"nl",
     " de het een en van ik te dat die in is niet op aan met als voor er maar om dan zou of wat "
     "mijn dit zo door over ze bij ook tot je mij uit daar naar heb hoe heeft hebben deze u want "
     "nog zal wij nu geen omdat worden meer moet kan dus onder wordt onze uw staan hallo groeten "
     "factuur bijlage beste graag ",
     "ëï"},
    {"pl",
     " i w na nie z się do to że jest o jak ale po co za od tak czy przez dla są już być tylko "
     "może ten ze bardzo było by tym mnie ma oraz aby lub jego które który która proszę dziękuję "
     "pan pani nas ich jej nasz dzień dobry pozdrawiam fakturę załączniku ",
     "ąćęłńóśźż"},
    {"sv",
     " och att det i en som är av för på den med till inte har de ett om jag var han från vi så "
     "men kan ska eller när nu hade du ut mycket vill alla man hon detta där upp bara sig min din "
     "tack skulle vara blir också er ",
     "åäö"},
    {"da",
     " og i at det er en til af på for den med de som ikke der har et jeg om vi han var fra så men "
     "kan skal vil eller når du også efter ved nu kunne blev hvor mange alle mig dig min din meget "
     "tak være bliver ud op denne ",
     "æøå"},
    {"fi",
     " ja on ei että se oli hän ovat mutta kun niin myös tai jos kuin sen minä sinä me te he ole "
     "joka tämä nyt vain voi olen mitä tässä jo ennen kanssa sitten kuitenkin mukaan olla kiitos "
     "hyvää mikä meidän teidän ",
     "äö"},
    {"tr",
     " ve bir bu için da de ile çok ne gibi daha var mi değil ben sen biz siz olan olarak kadar en "
     "sonra ama her şey o ki mı olduğu size bana lütfen teşekkür ederim ise diye nasıl göre bizim ",
     "çğıöşü"},
    {"cs",
     " a je v na se to že s z do o jsem i ve pro si ale jako by tak po co když už jen nebo jsou "
     "také bude k jeho který která být byl byla není za od až při mezi děkuji prosím ",
     "áčďéěíňřšťúůýž"},
    {"hu",
     " a az és hogy nem egy is van meg ez de csak már azt ha mint volt be ki még el vagy lesz "
     "nagyon kell szerint után majd ezt minden mert több köszönöm kérem ön önök nincs ",
     "áéíóöőúüű"},
    {"ro",
     " și şi în de la a cu pe nu o să că este un mai din care pentru sunt au fi ce se am dar sau "
     "lui ai fost prin după foarte dacă mulțumesc acest această vă noastră ale unei ",
     "ăâîșțşţ"},
    {"vi",
     " và của là có không được cho trong một các với những người này đã tôi khi để như từ đến về "
     "bạn ra cũng vào hay làm nhiều chúng còn sẽ thì ở nếu ",
     "ăâđêôơưạảấầẩẫậắằẳẵặẹẻẽếềểễệỉịọỏốồổỗộớờởỡợụủứừửữựỳỵỷỹ"},
    {"id",
     " dan yang di untuk dengan ini itu dari dalam tidak pada akan adalah ke anda saya kami atau "
     "juga oleh sudah dapat bisa kita ada karena lebih telah mereka seperti jika tersebut terima "
     "kasih harap ",
     ""},
};

#define LANGUAGES G_N_ELEMENTS(languages)

/* What is told from, shared among all languages that have it. */
static void share(double scores[LANGUAGES], const bool has[LANGUAGES], double weight)
{
    size_t count = 0;
    for (size_t i = 0; i < LANGUAGES; i++)
        count += has[i];
    for (size_t i = 0; i < LANGUAGES; i++)
        if (has[i])
            scores[i] += weight / (double)count;
}

static void weigh_word(double scores[LANGUAGES], const char *word, size_t length)
{
    char wanted[WORD_BYTES + 3];
    bool has[LANGUAGES];
    if (length > WORD_BYTES)
        return;
    g_snprintf(wanted, sizeof(wanted), " %.*s ", (int)length, word);
    for (size_t i = 0; i < LANGUAGES; i++)
        has[i] = strstr(languages[i].words, wanted) != NULL;
    share(scores, has, 1);
}

static void weigh_letters(double scores[LANGUAGES], const char *word, size_t length)
{
    bool has[LANGUAGES];
    for (size_t at = 0, bytes; at < length; at += bytes) {
        bytes = utf8_sequence(word + at, length - at);
        bytes = bytes ? bytes : 1;
        for (size_t i = 0; i < LANGUAGES; i++)
            has[i] = is_letter_of(languages[i].letters, word + at, bytes);
        if (bytes > 1)
            share(scores, has, LETTER_WEIGHT);
    }
}

static size_t word_length(const char *at)
{
    const char *end = at;
    while (*end && g_unichar_isalpha(g_utf8_get_char(end)))
        end = g_utf8_next_char(end);
    return (size_t)(end - at);
}

/* Scores of all words of lower-case text; returns how many there are. */
static size_t weigh_words(double scores[LANGUAGES], const char *text)
{
    size_t words = 0;
    while (*text && words < WORDS_MOST) {
        size_t length = word_length(text);
        if (length == 0) {
            text = g_utf8_next_char(text);
            continue;
        }
        weigh_word(scores, text, length);
        weigh_letters(scores, text, length);
        words++;
        text += length;
    }
    return words;
}

static const char *of_latin(const char *text)
{
    double scores[LANGUAGES] = {0};
    double words = (double)weigh_words(scores, text);
    size_t best = 0, next = 1;
    for (size_t i = 1; i < LANGUAGES; i++)
        if (scores[i] > scores[best]) {
            next = best;
            best = i;
        } else if (next == best || scores[i] > scores[next]) {
            next = i;
        }
    bool sure = scores[best] >= LEAST_SCORE && scores[best] >= LEAST_SHARE * words &&
                scores[best] >= LEAST_LEAD * scores[next];
    return sure ? languages[best].code : LANGUAGE_UNKNOWN;
}

/* --- all --- */

static const char *of_script(int group, const size_t *counts, const char *lower)
{
    switch (group) {
    case GROUP_LATIN:
        return of_latin(lower);
    case GROUP_CYRILLIC:
        return by_letters(cyrillic, G_N_ELEMENTS(cyrillic), lower, strlen(lower));
    case GROUP_ARABIC:
        return by_letters(arabic, G_N_ELEMENTS(arabic), lower, strlen(lower));
    case GROUP_HANGUL:
        return "ko";
    case GROUP_HAN:
    case GROUP_KANA:
        /* Chinese quotes a name in kana now and then; Japanese is never without particles. */
        return counts[GROUP_KANA] * 10 >= counts[GROUP_HAN] ? "ja" : "zh";
    default:
        return own_scripts[group - GROUP_OTHERS].language;
    }
}

const char *language_of(const char *text, size_t length)
{
    size_t counts[GROUPS] = {0}, weights[GROUPS] = {0};
    int best = 0;
    g_autofree char *look = g_utf8_make_valid(text, (gssize)MIN(length, LANGUAGE_LOOK));
    g_autofree char *composed = g_utf8_normalize(look, -1, G_NORMALIZE_NFC);
    g_autofree char *lower = g_utf8_strdown(composed ? composed : look, -1);
    for (const char *at = lower; *at; at = g_utf8_next_char(at)) {
        int group = group_of(g_utf8_get_char(at));
        if (group >= 0)
            counts[group]++;
    }
    for (size_t i = 0; i < GROUPS; i++)
        weights[i] = counts[i] * (i == GROUP_HAN || i == GROUP_KANA ? DENSE : 1);
    weights[GROUP_HAN] += weights[GROUP_KANA];
    for (size_t i = 0; i < GROUPS; i++)
        if (weights[i] > weights[best])
            best = (int)i;
    return weights[best] >= LEAST_LETTERS ? of_script(best, counts, lower) : LANGUAGE_UNKNOWN;
}
