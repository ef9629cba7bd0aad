/* The language of a text as people write it, in mails and with what mails have around their text.
 */
#include "scanner/engine/language.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

struct sample {
    const char *language, *text;
};

static void expect(const struct sample *sample)
{
    const char *told = language_of(sample->text, strlen(sample->text));
    if (strcmp(told, sample->language) != 0)
        fail_msg("%s is taken for %s: %s", sample->language, told, sample->text);
}

static void latin_languages_are_told_from_one_or_two_sentences(void **state)
{
    static const struct sample samples[] = {
        {"en", "Please find attached the invoice for your last order. Let us know if anything is "
               "missing."},
        {"en", "The meeting has been moved to Thursday."},
        {"de", "Anbei erhalten Sie die Rechnung für Ihre letzte Bestellung. Bitte melden Sie sich, "
               "wenn etwas fehlt."},
        {"de", "Wir treffen uns morgen um neun Uhr im großen Saal."},
        {"fr", "Veuillez trouver ci-joint la facture de votre dernière commande. N'hésitez pas à "
               "nous écrire."},
        {"es", "Adjuntamos la factura de su último pedido. Si falta algo, escríbanos por favor."},
        {"it", "In allegato trovate la fattura del vostro ultimo ordine. Se manca qualcosa, "
               "scriveteci."},
        {"pt", "Segue em anexo a fatura da sua última encomenda. Se faltar alguma coisa, avise-nos "
               "por favor."},
        {"nl",
         "Hierbij sturen wij u de factuur van uw laatste bestelling. Laat het ons weten als er "
         "iets ontbreekt."},
        {"pl", "W załączeniu przesyłamy fakturę za ostatnie zamówienie. Proszę o kontakt, jeśli "
               "czegoś brakuje."},
        {"sv",
         "Bifogat finner du fakturan för din senaste beställning. Hör av dig om något saknas."},
        {"da",
         "Vedhæftet er fakturaen for din seneste ordre. Skriv til os, hvis der mangler noget."},
        {"fi",
         "Liitteenä on lasku viimeisimmästä tilauksestasi. Ota yhteyttä, jos jotain puuttuu."},
        {"tr", "Son siparişinizin faturası ektedir. Eksik bir şey varsa lütfen bize yazın."},
        {"cs", "V příloze posíláme fakturu za vaši poslední objednávku. Pokud něco chybí, napište "
               "nám prosím."},
        {"hu", "Mellékelten küldjük az utolsó rendelés számláját. Ha valami hiányzik, kérem írjon "
               "nekünk."},
        {"ro", "Vă trimitem atașată factura pentru ultima comandă. Dacă lipsește ceva, vă rugăm să "
               "ne scrieți."},
        {"vi",
         "Chúng tôi gửi kèm hóa đơn cho đơn hàng gần đây của bạn. Nếu thiếu gì xin hãy báo cho "
         "chúng tôi."},
        {"id", "Terlampir adalah faktur untuk pesanan terakhir Anda. Jika ada yang kurang, harap "
               "hubungi kami."},
        {"de", "Das Protokoll der Sitzung liegt im Ordner."},
        {"fr", "Le compte rendu de la réunion est dans le dossier."},
        {"es", "El acta de la reunión está en la carpeta."},
        {"it", "Il verbale della riunione è nella cartella."},
        {"pt", "A ata da reunião está na pasta, não se esqueça."},
        {"nl", "De notulen van de vergadering staan in de map."},
        {"pl", "Protokół ze spotkania jest w folderze, ale nie mam czasu."},
        {"sv", "Protokollet från mötet ligger i mappen och du kan läsa det."},
        {"da", "Referatet af mødet ligger i mappen, og du kan læse det."},
        {"fi", "Kokouksen pöytäkirja on kansiossa, mutta se ei ole vielä valmis."},
        {"tr", "Toplantı tutanağı klasörde, ama henüz hazır değil."},
        {"cs", "Zápis ze schůzky je ve složce, ale ještě není hotový."},
        {"hu", "Az értekezlet jegyzőkönyve a mappában van, de még nem kész."},
        {"ro", "Procesul-verbal al ședinței este în dosar, dar nu este gata."},
        {"vi", "Biên bản cuộc họp ở trong thư mục, nhưng chưa xong."},
        {"id", "Notulen rapat ada di dalam folder, tetapi belum selesai untuk dibaca."},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++)
        expect(&samples[i]);
}

static void scripts_tell_the_other_languages(void **state)
{
    static const struct sample samples[] = {
        {"ja", "お世話になっております。請求書を添付いたしますのでご確認ください。"},
        {"zh", "您好，附件是本月的发票，请查收。"},
        {"zh",
         "您好，附件是卡拉OK的发票（カラオケ），请您尽快查收并且回复我们，谢谢您的合作与支持。"
         "如果有任何问题，请随时与我们公司联系，我们会在两个工作日之内给您答复，祝您生活愉快。"},
        {"ko", "안녕하세요. 이번 달 청구서를 첨부합니다."},
        {"ru", "Здравствуйте! Высылаем счёт за этот месяц."},
        {"uk", "Добрий день! Надсилаємо рахунок за цей місяць, дивіться вкладення її та його."},
        {"bg", "Здравейте, изпращаме ви фактурата за месеца. Това е първият път, когато съм тук."},
        {"el", "Καλημέρα, σας στέλνουμε το τιμολόγιο του μήνα."},
        {"he", "שלום, מצורפת החשבונית של החודש."},
        {"ar", "مرحبا، تجدون مرفقا الفاتورة لهذا الشهر."},
        {"fa", "سلام، صورتحساب این ماه پیوست شده است. پاسخ دهید چگونه "
               "می‌پردازید."},
        {"th", "สวัสดีค่ะ ส่งใบแจ้งหนี้ของเดือนนี้มาให้ค่ะ"},
        {"hi", "नमस्ते, इस महीने का बिल संलग्न है।"},
        {"ka", "გამარჯობა, გიგზავნით ანგარიშს."},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++)
        expect(&samples[i]);
}

static void what_is_around_the_text_does_not_count(void **state)
{
    static const struct sample samples[] = {
        {"ja",
         "東京の天気は晴れです。明日も晴れるでしょう。\n-- \nTaro Yamada\nExample Corporation "
         "https://www.example.co.jp/"},
        {"de", "> Please send it.\nHallo Herr Müller, das ist leider nicht möglich, weil die Firma "
               "noch keine Zusage für den Termin hat.\nhttp://example.com/a/b/c"},
        {"fr", "Bonjour,\n\n1234567890 - 45,00 EUR\nMerci de nous répondre avant le 12.\n"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++)
        expect(&samples[i]);
}

static void nothing_is_told_of_what_is_no_language(void **state)
{
    static const struct sample samples[] = {
        {"unknown", ""},
        {"unknown", "1234 5678"},
        {"unknown", "ok"},
        {"unknown", "Invoice 2024-0815 EUR 99.00"},
        {"unknown", "xkcd qwrt zzz plmn bvcx asdf ghjk lorem qwer tyui"},
        {"unknown", "\xff\xfe\x80 \xf0\x9f\x98\x80"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++)
        expect(&samples[i]);
}

static void decomposed_letters_count_as_composed_ones(void **state)
{
    static const struct sample sample = {"fr", "Ve\xcc\x81rifiez la pie\xcc\x80"
                                               "ce jointe avant l'e\xcc\x81te\xcc\x81 pour nous"};
    (void)state;
    expect(&sample);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(latin_languages_are_told_from_one_or_two_sentences),
        cmocka_unit_test(scripts_tell_the_other_languages),
        cmocka_unit_test(what_is_around_the_text_does_not_count),
        cmocka_unit_test(nothing_is_told_of_what_is_no_language),
        cmocka_unit_test(decomposed_letters_count_as_composed_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
