/* From finds to verdicts, and attachments that no signature knows. */
#include "scanner/engine/suspicious.h"
#include "scanner/engine/verdict.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "test_engine_archives.h"

static void the_name_of_a_signature_tells_the_verdict(void **state)
{
    static const struct {
        const char *name;
        enum config_verdict verdict;
    } cases[] = {
        {"Eicar-Test-Signature", CONFIG_VERDICT_VIRUS},
        {"Win.Trojan.Agent-1", CONFIG_VERDICT_VIRUS},
        {"Win.Worm.Mydoom-1", CONFIG_VERDICT_WORM},
        {"Worm.Bagle", CONFIG_VERDICT_WORM},
        {"Win.Trojan.Wormhole-1", CONFIG_VERDICT_VIRUS},
        {"PUA.Win.Adware.Toolbar-1", CONFIG_VERDICT_SPYWARE},
        {"Win.Spyware.Banker-7", CONFIG_VERDICT_SPYWARE},
        {"Heuristics.Encrypted.PDF", CONFIG_VERDICT_ENCRYPTED_ATTACHMENT},
        {"Encrypted.Archive", CONFIG_VERDICT_ENCRYPTED_ATTACHMENT},
        {"Heuristics.Phishing.Email.SpoofedDomain", CONFIG_VERDICT_SUSPICIOUS_ATTACHMENT},
        {"Suspicious.Script", CONFIG_VERDICT_SUSPICIOUS_ATTACHMENT},
    };
    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
        if (verdict_of_name(cases[i].name) != cases[i].verdict)
            fail_msg("%s is %s", cases[i].name,
                     config_verdict_name(verdict_of_name(cases[i].name)));
}

/* What is found in a message with one attachment of that name and base64 content. */
static void look(const char *parameters, const char *base64, struct malware_result *result)
{
    g_autofree char *mail = g_strdup_printf("Content-Type: multipart/mixed; boundary=b\r\n\r\n"
                                            "--b\r\n\r\nText\r\n--b\r\n"
                                            "Content-Type: application/octet-stream\r\n"
                                            "Content-Disposition: attachment; %s\r\n"
                                            "Content-Transfer-Encoding: base64\r\n\r\n%s\r\n"
                                            "--b--\r\n",
                                            parameters, base64);
    struct tree_limits limits = tree_default_limits(60000000);
    struct message *message = message_parse(mail, strlen(mail));
    struct tree *tree = tree_build(message, &limits);
    *result = (struct malware_result){0};
    suspicious_look(tree, result);
    tree_free(tree);
    message_free(message);
}

static const char hello[] = "SGVsbG8=";
static const char elf[] = "f0VMRgIBAQAAAAAAAAAAAA==";

static void expect_find(const char *parameters, const char *content, const char *name,
                        const char *part)
{
    struct malware_result result;
    look(parameters, content, &result);
    if (result.find_count != 1)
        fail_msg("%s: %zu finds", parameters, result.find_count);
    assert_string_equal(result.finds[0].name, name);
    assert_string_equal(result.finds[0].part, part);
    assert_int_equal(result.finds[0].verdict, CONFIG_VERDICT_SUSPICIOUS_ATTACHMENT);
}

static void names_that_deceive_are_suspicious(void **state)
{
    (void)state;
    expect_find("filename=\"invoice.pdf.exe\"", hello, "Suspicious.DoubleExtension",
                "invoice.pdf.exe");
    expect_find("filename=\"invoice.pdf     .exe\"", hello, "Suspicious.DoubleExtension",
                "invoice.pdf .exe");
    expect_find("filename=\"photo.jpg.LNK\"", hello, "Suspicious.DoubleExtension", "photo.jpg.LNK");
    expect_find("filename*=utf-8''invoice%E2%80%AEfdp.exe", hello, "Suspicious.HiddenExtension",
                "invoicefdp.exe");
    expect_find("filename=\"report.pdf\"", elf, "Suspicious.DisguisedProgram", "report.pdf");
    expect_find("filename=\"update.hta\"", hello, "Suspicious.Script", "update.hta");
}

static void ordinary_attachments_are_not(void **state)
{
    static const char *const names[] = {"filename=\"report.pdf\"",
                                        "filename=\"a.tar.gz\"",
                                        "filename=\"v1.2.docx\"",
                                        "filename=\"setup.exe\"",
                                        "filename=\"no extension\"",
                                        "filename=\"...\"",
                                        ""};
    struct malware_result result;
    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        look(names[i], hello, &result);
        if (result.find_count > 0)
            fail_msg("%s: %s", names[i], result.finds[0].name);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_name_of_a_signature_tells_the_verdict),
        cmocka_unit_test(names_that_deceive_are_suspicious),
        cmocka_unit_test(ordinary_attachments_are_not),
    };
    return cmocka_run_group_tests(tests, load_types, release_types);
}
