/* Content filters in a running engine: real messages through a sandboxed worker whose configuration
 * has filters, the answers that the mta gets, and the bodies that come with them. */
#include "scanner/engine/engine_test_client.h"

#include "common/buffer.h"
#include "common/cleanup.h"
#include "common/json.h"
#include "common/signing.h"

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "quoted_json.h"
#include "test_engine_running.h"

#include <sodium.h>
#include <sys/stat.h>

#define DRY_RUN_MS 40000
#define INBOUND "'direction':'inbound','sender':{'address':'s@out.example'}"

static char public_key[SIGNING_KEY_TEXT_SIZE], secret_key[SIGNING_SECRET_TEXT_SIZE];

/* --- configuration --- */

static const char policies[] =
    "{'malware':{'virus':{'action':'clean'},'encrypted_attachment':{'action':'quarantine'},"
    "'suspicious_attachment':{'action':'deliver','bypass_content':true}},"
    "'groups':[{'id':'strict','name':'Strict','members':['@strict.example'],"
    "'malware':{'inbound':{'virus':{'action':'delete'}}}}],"
    "'annotations':[{'id':'note','name':'Note','text':'Checked by Gatehouse.'}],"
    "'folders':[{'id':'legal','name':'Legal','quarantine':true},"
    "{'id':'copies','name':'Copies','quarantine':false}],"
    "'templates':[{'id':'told','name':'Told'}],"
    "'filters':["
    "{'id':'secret','name':'Secret plans','conditions':[{'field':'body','op':'contains',"
    "'values':['secret plan']}],'actions':[{'action':'incident','folder':'legal'},"
    "{'action':'notify','template':'told','to':['sender','recipients']}],'then':'stop'},"
    "{'id':'refuse','name':'Refuse','conditions':[{'field':'subject','op':'equals',"
    "'values':['refuse me']}],'actions':[{'action':'reject','text':'Not here'}],'then':'stop'},"
    "{'id':'mark','name':'Mark','conditions':[{'field':'subject','op':'contains',"
    "'values':['mark']}],'actions':[{'action':'add_header','name':'X-Mark','value':'Grüße'}]},"
    "{'id':'annotate','name':'Annotate','conditions':[{'field':'recipient','op':'equals',"
    "'values':['annotated@in.example','annotated2@in.example','annotated@strict.example']}],"
    "'actions':[{'action':'annotate','id':'note'},{'action':'subject','text':'[seen]',"
    "'place':'end'},{'action':'bcc','address':'copy@in.example'}]},"
    "{'id':'strip','name':'Strip','conditions':[{'field':'attachment','op':'extension',"
    "'values':['bin']}],'actions':[{'action':'strip','which':'matched'}]},"
    "{'id':'only','name':'Only PDF','conditions':[{'field':'subject','op':'equals',"
    "'values':['not every']},{'field':'attachment','op':'extension','values':['pdf'],"
    "'every':true,'not':true}],'actions':[{'action':'strip','which':'matched'}]},"
    "{'id':'german','name':'German','conditions':[{'field':'language',"
    "'values':['de']}],'actions':[{'action':'route','host':'german.example'},"
    "{'action':'require_tls'}]}]}";

static void configure(const char *wanted)
{
    struct buffer text = BUFFER_INIT;
    buffer_add_format(&text,
                      "{'format':1,'version':1,'scanner_id':'0190163d-8694-739b-aea5-966c26f8ad91',"
                      "'issued_at':'2026-01-31T12:00:00Z','host_name':'mx.example.com',"
                      "'smtp':{'inbound':{'listeners':[]},'outbound':{'listeners':[]}},"
                      "'domains':[],'policies':%s}",
                      wanted);
    cleanup_free char *document = quoted(buffer_text(&text));
    cleanup_free char *envelope = signing_seal(document, secret_key, NULL);
    buffer_free(&text);
    assert_non_null(envelope);
    test_write(&engine, "config/configuration.pub", public_key);
    test_write(&engine, "config/current.json", envelope);
}

static int begin(void **state)
{
    (void)state;
    test_prepare(&engine);
    test_folder(&engine, "config");
    if (!signing_new_keys(public_key, secret_key, NULL))
        return 1;
    configure(policies);
    test_start(&engine);
    return 0;
}

/* --- scans --- */

struct scanned {
    json_t *result, *answer;
    char *cleaned, *bodies[IPC_PACKET_DESCRIPTORS];
    size_t body_count;
};

static char *read_all(int fd)
{
    struct stat status;
    assert_int_equal(fstat(fd, &status), 0);
    char *text = calloc(1, (size_t)status.st_size + 1);
    assert_int_equal(pread(fd, text, (size_t)status.st_size, 0), status.st_size);
    return text;
}

static void take_files(struct scanned *scanned, const int *files, size_t count)
{
    size_t next = 0;
    if (json_object_get(scanned->result, "cleaned"))
        scanned->cleaned = read_all(files[next++]);
    if (json_is_true(json_object_get(scanned->result, "policy"))) {
        cleanup_free char *text = read_all(files[next++]);
        scanned->answer = json_parse(text, strlen(text), NULL, NULL);
        assert_non_null(scanned->answer);
        while (next < count)
            scanned->bodies[scanned->body_count++] = read_all(files[next++]);
        assert_int_equal(json_integer_value(json_object_get(scanned->result, "bodies")),
                         scanned->body_count);
    }
    assert_int_equal(next, count);
    for (size_t i = 0; i < count; i++)
        close(files[i]);
}

static struct scanned scan_with(const char *message, const char *envelope, const char *clean)
{
    struct scanned scanned = {0};
    int files[IPC_PACKET_DESCRIPTORS];
    size_t count;
    cleanup_free char *document = envelope ? quoted(envelope) : NULL;
    int given[] = {test_memory_file(message, strlen(message)),
                   document ? test_memory_file(document, strlen(document)) : -1};
    cleanup_json json_t *frame =
        json_pack("{s:{s:s,s:I,s:i,s:[],s:b,s:i}}", "scan", "id", TEST_ID, "size",
                  (json_int_t)strlen(message), "seconds", 30, "clean", "envelope", 1, "age_ms", 0);
    if (clean)
        json_array_append_new(json_object_get(json_object_get(frame, "scan"), "clean"),
                              json_string(clean));
    cleanup_fd int fd = test_connect(&engine, NULL);
    assert_true(fd >= 0);
    assert_true(ipc_packet_send_descriptors(fd, frame, given, document ? 2 : 1, NULL));
    close(given[0]);
    if (document)
        close(given[1]);
    cleanup_json json_t *reply =
        ipc_packet_receive_descriptors(fd, files, IPC_PACKET_DESCRIPTORS, &count, NULL);
    scanned.result = json_incref(json_object_get(reply, "result"));
    assert_non_null(scanned.result);
    take_files(&scanned, files, count);
    return scanned;
}

static struct scanned scan(const char *message, const char *envelope)
{
    struct scanned scanned = scan_with(message, envelope, NULL);
    if (!scanned.answer)
        fail_msg("%s", test_text(scanned.result, "policy_problem"));
    return scanned;
}

static void forget(struct scanned *scanned)
{
    json_decref(scanned->result);
    json_decref(scanned->answer);
    free(scanned->cleaned);
    for (size_t i = 0; i < scanned->body_count; i++)
        free(scanned->bodies[i]);
}

/* The outcome of that recipient. */
static const json_t *outcome(const struct scanned *scanned, int recipient)
{
    const json_t *outcomes = json_object_get(scanned->answer, "outcomes"), *one, *index;
    size_t i, j;
    json_array_foreach((json_t *)outcomes, i, one)
    {
        const json_t *recipients = json_object_get(one, "recipients");
        json_array_foreach((json_t *)recipients, j, index)
        {
            if (json_integer_value(index) == recipient)
                return one;
        }
    }
    fail_msg("recipient %d has no outcome", recipient);
    return NULL;
}

static const char *body(const struct scanned *scanned, const json_t *of)
{
    const json_t *number = json_object_get(of, "body");
    assert_true(json_is_integer(number));
    assert_true((size_t)json_integer_value(number) < scanned->body_count);
    return scanned->bodies[json_integer_value(number)];
}

#define ONE "{" INBOUND ",'recipients':[{'address':'r@in.example'}]}"

static const char *mail(const char *subject, const char *text)
{
    static char message[4096];
    snprintf(message, sizeof(message),
             "From: s@out.example\r\nTo: r@in.example\r\nSubject: %s\r\nMIME-Version: 1.0\r\n"
             "Content-Type: text/plain; charset=utf-8\r\n\r\n%s\r\n",
             subject, text);
    return message;
}

/* --- dispositions --- */

static void what_no_filter_meets_is_delivered_as_it_came(void **state)
{
    (void)state;
    struct scanned scanned = scan(mail("hello", "nothing to see"), ONE);
    const json_t *one = outcome(&scanned, 0);
    assert_string_equal(test_text(one, "disposition"), "deliver");
    assert_null(json_object_get(one, "body"));
    assert_null(json_object_get(one, "header"));
    assert_int_equal(json_array_size(json_object_get(one, "actions")), 0);
    assert_int_equal(json_array_size(json_object_get(one, "filters")), 0);
    assert_string_equal(test_text(scanned.result, "verdict"), "clean");
    assert_string_equal(test_text(scanned.answer, "problem"), "");
    forget(&scanned);
}

static void a_filter_holds_a_message_and_says_where_it_matched(void **state)
{
    (void)state;
    struct scanned scanned = scan(mail("hello", "this is a secret plan"), ONE);
    const json_t *one = outcome(&scanned, 0);
    assert_string_equal(test_text(one, "disposition"), "hold");
    assert_string_equal(test_text(one, "decided_by"), "secret");
    const json_t *action = json_array_get(json_object_get(one, "actions"), 0);
    assert_string_equal(test_text(action, "action"), "incident");
    assert_string_equal(test_text(action, "folder"), "legal");
    assert_string_equal(test_text(action, "folder_name"), "Legal");
    assert_true(json_is_true(json_object_get(action, "quarantine")));
    assert_string_equal(test_text(action, "filter"), "secret");
    action = json_array_get(json_object_get(one, "actions"), 1);
    assert_string_equal(test_text(action, "template"), "told");
    assert_string_equal(json_string_value(json_array_get(json_object_get(action, "to"), 1)),
                        "recipients");
    const json_t *find = json_array_get(json_object_get(scanned.answer, "finds"), 0);
    assert_string_equal(test_text(find, "filter"), "secret");
    assert_string_equal(test_text(find, "text"), "secret plan");
    assert_int_equal(json_integer_value(json_object_get(find, "offset")), 10);
    forget(&scanned);
}

static void a_refused_message_says_what_its_sender_is_told(void **state)
{
    (void)state;
    struct scanned scanned = scan(mail("refuse me", "text"), ONE);
    assert_string_equal(test_text(outcome(&scanned, 0), "disposition"), "reject");
    assert_string_equal(test_text(outcome(&scanned, 0), "text"), "Not here");
    forget(&scanned);
}

static void the_language_of_the_text_counts(void **state)
{
    (void)state;
    struct scanned scanned =
        scan(mail("x", "Wir treffen uns morgen um neun und sprechen über die Pläne."), ONE);
    const json_t *actions = json_object_get(outcome(&scanned, 0), "actions");
    assert_string_equal(test_text(json_array_get(actions, 0), "action"), "route");
    assert_string_equal(test_text(json_array_get(actions, 0), "host"), "german.example");
    assert_string_equal(test_text(json_array_get(actions, 1), "action"), "require_tls");
    forget(&scanned);
}

static void every_search_works_in_the_sandbox(void **state)
{
    static const struct {
        const char *text, *filter;
    } cases[] = {
        {"see account 4711 for this", "look"},
        {"the quarterly figures and the salary list", "words"},
        {"pay with 4111 1111 1111 1111 please", "card"},
    };
    (void)state;
    configure("{'dictionaries':[{'id':'d','name':'D','words':[{'text':'salary','weight':3},"
              "{'text':'figures','weight':2}]}],'filters':["
              "{'id':'look','name':'Look','conditions':[{'field':'body','op':'matches','values':"
              "['(?<=account )[0-9]{4}(?! times)']}],'actions':[{'action':'deliver'}]},"
              "{'id':'words','name':'Words','conditions':[{'field':'any_text','op':'dictionary',"
              "'id':'d','at_least':5}],'actions':[{'action':'deliver'}]},"
              "{'id':'card','name':'Card','conditions':[{'field':'body','op':'pattern',"
              "'id':'premium.payment_card'}],'actions':[{'action':'deliver'}]}]}");
    json_decref(test_ask(&engine, "reload", NULL));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct scanned scanned = scan(mail("x", cases[i].text), ONE);
        const json_t *filters = json_object_get(outcome(&scanned, 0), "filters");
        assert_int_equal(json_array_size(filters), 1);
        assert_string_equal(test_text(json_array_get(filters, 0), "id"), cases[i].filter);
        forget(&scanned);
    }
    configure(policies);
    json_decref(test_ask(&engine, "reload", NULL));
}

static void a_message_to_very_many_has_an_answer_too(void **state)
{
    struct buffer envelope = BUFFER_INIT;
    (void)state;
    buffer_add_text(&envelope, "{" INBOUND ",'recipients':[{'address':'annotated@in.example'}");
    for (int i = 0; i < 20000; i++)
        buffer_add_format(&envelope, ",{'address':'r%d@in.example','directory_groups':['a','b']}",
                          i);
    buffer_add_text(&envelope, "]}");
    struct scanned scanned = scan(mail("x", "text"), buffer_text(&envelope));
    const json_t *one = outcome(&scanned, 20000);
    assert_int_equal(json_array_size(json_object_get(one, "recipients")), 20000);
    assert_int_equal(json_array_size(json_object_get(scanned.answer, "outcomes")), 2);
    forget(&scanned);
    buffer_free(&envelope);
}

/* --- what is changed --- */

static void a_header_field_alone_needs_no_new_body(void **state)
{
    (void)state;
    struct scanned scanned = scan(mail("mark", "text"), ONE);
    const json_t *one = outcome(&scanned, 0);
    assert_null(json_object_get(one, "body"));
    assert_memory_equal(test_text(one, "header"), "X-Mark: =?", 10);
    assert_int_equal(scanned.body_count, 0);
    forget(&scanned);
}

static void recipients_with_the_same_changes_share_a_body(void **state)
{
    (void)state;
    struct scanned scanned =
        scan(mail("x", "text"), "{" INBOUND ",'recipients':[{'address':'annotated@in.example'},"
                                "{'address':'r@in.example'},{'address':'annotated2@in.example'}]}");
    const json_t *first = outcome(&scanned, 0), *second = outcome(&scanned, 1);
    assert_int_equal(scanned.body_count, 1);
    assert_non_null(strstr(body(&scanned, first), "Checked by Gatehouse."));
    assert_string_equal(body(&scanned, first), body(&scanned, outcome(&scanned, 2)));
    assert_null(json_object_get(second, "body"));
    assert_string_equal(test_text(json_array_get(json_object_get(first, "actions"), 0), "address"),
                        "copy@in.example");
    forget(&scanned);
}

static void a_matched_attachment_is_removed_and_others_stay(void **state)
{
    static const char message[] =
        "Subject: files\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
        "--b\r\nContent-Type: text/plain\r\n\r\nhello\r\n"
        "--b\r\nContent-Type: application/octet-stream; name=a.bin\r\n"
        "Content-Disposition: attachment; filename=a.bin\r\n\r\nbinary content\r\n"
        "--b\r\nContent-Type: text/csv; name=b.csv\r\n"
        "Content-Disposition: attachment; filename=b.csv\r\n\r\ntable content\r\n--b--\r\n";
    (void)state;
    struct scanned scanned = scan(message, ONE);
    const char *text = body(&scanned, outcome(&scanned, 0));
    assert_null(strstr(text, "binary content"));
    assert_non_null(strstr(text, "table content"));
    forget(&scanned);
}

static void every_matched_attachment_is_removed_however_many_there_are(void **state)
{
    struct buffer message = BUFFER_INIT;
    (void)state;
    buffer_add_text(&message, "Subject: files\r\nMIME-Version: 1.0\r\n"
                              "Content-Type: multipart/mixed; boundary=b\r\n\r\n");
    for (int i = 0; i < 150; i++)
        buffer_add_format(&message,
                          "--b\r\nContent-Type: application/octet-stream; name=%d.bin\r\n"
                          "Content-Disposition: attachment; filename=%d.bin\r\n\r\nbinary\r\n",
                          i, i);
    buffer_add_text(&message, "--b--\r\n");
    struct scanned scanned = scan(buffer_text(&message), ONE);
    assert_null(strstr(body(&scanned, outcome(&scanned, 0)), "binary"));
    forget(&scanned);
    buffer_free(&message);
}

static void what_is_not_in_the_list_of_what_may_come_is_removed(void **state)
{
    static const char message[] =
        "Subject: not every\r\nMIME-Version: 1.0\r\n"
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n"
        "--b\r\nContent-Type: text/plain\r\n\r\nhello\r\n"
        "--b\r\nContent-Type: application/pdf; name=a.pdf\r\n"
        "Content-Disposition: attachment; filename=a.pdf\r\n\r\n%PDF-1.7 welcome\r\n"
        "--b\r\nContent-Type: text/csv; name=b.csv\r\n"
        "Content-Disposition: attachment; filename=b.csv\r\n\r\nunwanted\r\n--b--\r\n";
    (void)state;
    struct scanned scanned = scan(message, ONE);
    const char *text = body(&scanned, outcome(&scanned, 0));
    assert_non_null(strstr(text, "welcome"));
    assert_null(strstr(text, "unwanted"));
    forget(&scanned);
}

/* --- with malware --- */

static const char *infected(void)
{
    static char message[4096];
    snprintf(message, sizeof(message),
             "Received: from a by b; Thu, 1 Jan 2026 00:00:00 +0000\r\nFrom: s@out.example\r\n"
             "Subject: mark\r\nMIME-Version: 1.0\r\n"
             "Content-Type: multipart/mixed; boundary=b\r\n\r\n"
             "--b\r\nContent-Type: text/plain\r\n\r\nhello\r\n"
             "--b\r\nContent-Type: application/octet-stream; name=v.com\r\n"
             "Content-Disposition: attachment; filename=v.com\r\n\r\n%s\r\n--b--\r\n",
             test_eicar());
    return message;
}

static void each_group_has_its_own_base_and_those_who_get_nothing_are_left_out(void **state)
{
    (void)state;
    struct scanned scanned =
        scan_with(infected(),
                  "{" INBOUND ",'recipients':[{'address':'annotated@in.example'},"
                  "{'address':'annotated@strict.example','group':'strict'}]}",
                  "virus");
    assert_non_null(scanned.answer);
    assert_non_null(scanned.cleaned);
    const json_t *cleaned = outcome(&scanned, 0), *deleted = outcome(&scanned, 1);
    const char *text = body(&scanned, cleaned);
    assert_null(strstr(text, test_eicar()));
    assert_non_null(strstr(text, "Subject: mark [seen]\r\n"));
    assert_memory_equal(test_text(cleaned, "header"), "X-Mark: ", 8);
    assert_int_equal(json_array_size(json_object_get(deleted, "filters")), 0);
    assert_null(json_object_get(deleted, "body"));
    assert_int_equal(scanned.body_count, 1);
    forget(&scanned);
}

static void a_verdict_that_bypasses_filters_and_a_bypassed_recipient_are_asked_nothing(void **state)
{
    static const char script[] =
        "Subject: mark\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
        "--b\r\nContent-Type: application/octet-stream; name=a.js\r\n"
        "Content-Disposition: attachment; filename=a.js\r\n\r\nx = 1\r\n--b--\r\n";
    (void)state;
    struct scanned scanned = scan(script, ONE);
    assert_string_equal(test_text(scanned.result, "verdict"), "suspicious_attachment");
    assert_int_equal(json_array_size(json_object_get(outcome(&scanned, 0), "filters")), 0);
    forget(&scanned);
    scanned = scan(mail("mark", "x"), "{" INBOUND ",'recipients':[{'address':'a@in.example',"
                                      "'bypass':true},{'address':'b@in.example'}]}");
    assert_int_equal(json_array_size(json_object_get(outcome(&scanned, 0), "filters")), 0);
    assert_int_equal(json_array_size(json_object_get(outcome(&scanned, 1), "filters")), 1);
    forget(&scanned);
}

static void outbound_the_group_of_the_sender_counts_for_everybody(void **state)
{
    (void)state;
    struct scanned scanned = scan_with(
        infected(),
        "{'direction':'outbound','sender':{'address':'s@strict.example','group':'strict'},"
        "'recipients':[{'address':'annotated@in.example'}]}",
        "virus");
    /* The group says nothing of outbound mail, so that the general policy counts: clean. */
    assert_non_null(strstr(body(&scanned, outcome(&scanned, 0)), "Subject: mark [seen]"));
    forget(&scanned);
    configure("{'malware':{'virus':{'action':'clean'}},'groups':[{'id':'strict','name':'S',"
              "'members':['@strict.example'],'malware':{'outbound':{'virus':{'action':"
              "'quarantine'}}}}],'filters':[{'id':'all','name':'All','conditions':[{'field':"
              "'message_size','op':'above','number':1}],'actions':[{'action':'delete'}]}]}");
    json_decref(test_ask(&engine, "reload", NULL));
    scanned = scan_with(
        infected(),
        "{'direction':'outbound','sender':{'address':'s@strict.example','group':'strict'},"
        "'recipients':[{'address':'a@in.example'}]}",
        "virus");
    assert_int_equal(json_array_size(json_object_get(outcome(&scanned, 0), "filters")), 0);
    forget(&scanned);
    configure(policies);
    json_decref(test_ask(&engine, "reload", NULL));
}

/* --- what cannot be judged --- */

static void expect_unjudged(const char *envelope, const char *why)
{
    struct scanned scanned = scan_with(mail("hello", "text"), envelope, NULL);
    assert_true(json_is_false(json_object_get(scanned.result, "policy")));
    if (!strstr(test_text(scanned.result, "policy_problem"), why))
        fail_msg("%s", test_text(scanned.result, "policy_problem"));
    assert_string_equal(test_text(scanned.result, "verdict"), "unscannable");
    forget(&scanned);
}

static void a_broken_envelope_makes_a_message_unscannable_and_not_unfiltered(void **state)
{
    (void)state;
    expect_unjudged(NULL, "is not a read-only file");
    expect_unjudged("{", "");
    expect_unjudged("{" INBOUND ",'recipients':[]}", "has nobody in it");
    struct scanned scanned = scan(mail("mark", "the worker serves on"), ONE);
    forget(&scanned);
}

static void more_than_fourteen_ways_to_change_a_message_are_refused(void **state)
{
    struct buffer filters = BUFFER_INIT, people = BUFFER_INIT;
    (void)state;
    buffer_add_text(&filters, "{'filters':[");
    for (int i = 0; i < 15; i++) {
        buffer_add_format(&filters,
                          "%s{'id':'f%d','name':'f%d','conditions':[{'field':'recipient',"
                          "'op':'equals','values':['r%d@in.example']}],'actions':["
                          "{'action':'subject','text':'%d','place':'begin'}]}",
                          i ? "," : "", i, i, i, i);
        buffer_add_format(&people, "%s{'address':'r%d@in.example'}", i ? "," : "", i);
    }
    buffer_add_text(&filters, "]}");
    configure(buffer_text(&filters));
    cleanup_json json_t *reply = test_ask(&engine, "reload", NULL);
    assert_true(json_is_true(json_object_get(reply, "changed")));
    char envelope[4096];
    snprintf(envelope, sizeof(envelope), "{" INBOUND ",'recipients':[%s]}", buffer_text(&people));
    expect_unjudged(envelope, "in more than 14 ways");
    buffer_clear(&people);
    for (int i = 0; i < 14; i++)
        buffer_add_format(&people, "%s{'address':'r%d@in.example'}", i ? "," : "", i);
    snprintf(envelope, sizeof(envelope), "{" INBOUND ",'recipients':[%s]}", buffer_text(&people));
    struct scanned scanned = scan(mail("subject", "text"), envelope);
    assert_int_equal(scanned.body_count, 14);
    assert_non_null(strstr(body(&scanned, outcome(&scanned, 13)), "Subject: 13 subject"));
    forget(&scanned);
    buffer_free(&filters);
    buffer_free(&people);
    configure(policies);
    json_decref(test_ask(&engine, "reload", NULL));
}

/* --- reload --- */

static void changed_policies_alone_are_loaded(void **state)
{
    (void)state;
    configure("{'filters':[{'id':'all','name':'All','conditions':[{'field':'message_size',"
              "'op':'above','number':1}],'actions':[{'action':'delete'}]}]}");
    cleanup_json json_t *changed = test_ask(&engine, "reload", NULL);
    assert_true(json_is_true(json_object_get(changed, "changed")));
    struct scanned scanned = scan(mail("hello", "text"), ONE);
    assert_string_equal(test_text(outcome(&scanned, 0), "disposition"), "delete");
    forget(&scanned);
    cleanup_json json_t *same = test_ask(&engine, "reload", NULL);
    assert_true(json_is_false(json_object_get(same, "changed")));
    configure(policies);
    json_decref(test_ask(&engine, "reload", NULL));
    scanned = scan(mail("hello", "text"), ONE);
    assert_string_equal(test_text(outcome(&scanned, 0), "disposition"), "deliver");
    forget(&scanned);
}

static void wrong_policies_are_refused_and_the_old_ones_serve_on(void **state)
{
    struct error error = {0};
    (void)state;
    configure("{'filters':[{'id':'all','name':'All','conditions':[{'field':'body','op':'matches',"
              "'values':['(']}],'actions':[{'action':'delete'}]}]}");
    assert_null(test_ask(&engine, "reload", &error));
    if (!strstr(error.message, "policies.filters[0].conditions[0].values[0]"))
        fail_msg("%s", error.message);
    struct scanned scanned = scan(mail("mark", "text"), ONE);
    assert_memory_equal(test_text(outcome(&scanned, 0), "header"), "X-Mark: ", 8);
    forget(&scanned);
    configure(policies);
    cleanup_json json_t *same = test_ask(&engine, "reload", NULL);
    assert_true(json_is_false(json_object_get(same, "changed")));
}

/* --- dry run --- */

static json_t *dry_run(const char *wanted, const char *envelope, const char *message,
                       struct error *error)
{
    cleanup_free char *own = quoted(wanted), *persons = quoted(envelope);
    cleanup_free char *base64 = NULL;
    size_t length = strlen(message);
    base64 = malloc(sodium_base64_ENCODED_LEN(length, sodium_base64_VARIANT_ORIGINAL));
    sodium_bin2base64(base64, sodium_base64_ENCODED_LEN(length, sodium_base64_VARIANT_ORIGINAL),
                      (const unsigned char *)message, length, sodium_base64_VARIANT_ORIGINAL);
    cleanup_json json_t *request = json_pack(
        "{s:s,s:o,s:o,s:s}", "op", "dry_run", "policies", json_parse(own, strlen(own), NULL, NULL),
        "envelope", json_parse(persons, strlen(persons), NULL, NULL), "message", base64);
    assert_non_null(request);
    return ipc_request(engine.control, request, DRY_RUN_MS, error);
}

static void a_dry_run_tells_each_condition_and_changes_nothing(void **state)
{
    struct error error = {0};
    (void)state;
    long long generation = test_status_number(&engine, "generation");
    cleanup_json json_t *reply =
        dry_run("{'filters':[{'id':'a','name':'A','match':'any','conditions':["
                "{'field':'subject','op':'contains','values':['nowhere']},"
                "{'field':'verdict','values':['clean']}],"
                "'actions':[{'action':'delete'}],'then':'stop'}]}",
                ONE, mail("hello", "text"), &error);
    if (!reply)
        fail_msg("%s", error.message);
    const json_t *outcomes = json_object_get(json_object_get(reply, "answer"), "outcomes");
    assert_string_equal(test_text(json_array_get(outcomes, 0), "disposition"), "delete");
    const json_t *row = json_array_get(json_object_get(reply, "trace"), 0);
    assert_string_equal(test_text(row, "filter"), "a");
    assert_true(json_is_true(json_object_get(row, "met")));
    const json_t *conditions = json_object_get(row, "conditions");
    assert_string_equal(json_string_value(json_array_get(conditions, 0)), "not_met");
    assert_string_equal(json_string_value(json_array_get(conditions, 1)), "met");
    assert_string_equal(test_text(json_object_get(reply, "result"), "verdict"), "clean");
    assert_string_equal(test_text(reply, "problem"), "");
    assert_int_equal(test_status_number(&engine, "generation"), generation);
}

static void a_dry_run_compiles_every_search_in_its_sandbox(void **state)
{
    struct error error = {0};
    (void)state;
    cleanup_json json_t *reply =
        dry_run("{'dictionaries':[{'id':'d','name':'D','words':[{'text':'agreed'}]}],'filters':["
                "{'id':'a','name':'A','conditions':[{'field':'body','op':'matches','values':"
                "['what (?!they)[a-z]+']},{'field':'body','op':'dictionary','id':'d'},"
                "{'field':'body','op':'contains','values':['upon']}],"
                "'actions':[{'action':'bounce','text':'no'}]}]}",
                ONE, mail("hello", "here is what we agreed upon"), &error);
    if (!reply)
        fail_msg("%s", error.message);
    const json_t *outcomes = json_object_get(json_object_get(reply, "answer"), "outcomes");
    assert_string_equal(test_text(json_array_get(outcomes, 0), "disposition"), "bounce");
    const json_t *finds = json_object_get(json_object_get(reply, "answer"), "finds");
    assert_string_equal(test_text(json_array_get(finds, 0), "text"), "what we");
}

static void a_dry_run_knows_the_verdict_and_takes_clean_messages(void **state)
{
    struct error error = {0};
    (void)state;
    cleanup_json json_t *reply =
        dry_run("{'malware':{'virus':{'action':'clean'}},'filters':[{'id':'a','name':'A',"
                "'conditions':[{'field':'verdict','values':['virus']}],"
                "'actions':[{'action':'subject','text':'[cleaned]','place':'begin'}]}]}",
                ONE, infected(), &error);
    if (!reply)
        fail_msg("%s", error.message);
    const json_t *outcomes = json_object_get(json_object_get(reply, "answer"), "outcomes");
    assert_int_equal(json_integer_value(json_object_get(json_array_get(outcomes, 0), "body")), 0);
    assert_string_equal(test_text(json_object_get(reply, "result"), "verdict"), "virus");
}

static void wrong_policies_are_named_by_a_dry_run(void **state)
{
    struct error error = {0};
    (void)state;
    assert_null(dry_run("{'filters':[{'id':'a','name':'A','conditions':[{'field':'weather',"
                        "'op':'is','values':['x']}],'actions':[]}]}",
                        ONE, mail("hello", "text"), &error));
    if (!strstr(error.message, "policies.filters[0].conditions[0]"))
        fail_msg("%s", error.message);
    assert_null(dry_run("{}", "{'direction':'inbound'}", mail("hello", "text"), &error));
    assert_non_null(strstr(error.message, "sender"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_no_filter_meets_is_delivered_as_it_came),
        cmocka_unit_test(a_filter_holds_a_message_and_says_where_it_matched),
        cmocka_unit_test(a_refused_message_says_what_its_sender_is_told),
        cmocka_unit_test(the_language_of_the_text_counts),
        cmocka_unit_test(every_search_works_in_the_sandbox),
        cmocka_unit_test(a_message_to_very_many_has_an_answer_too),
        cmocka_unit_test(a_header_field_alone_needs_no_new_body),
        cmocka_unit_test(recipients_with_the_same_changes_share_a_body),
        cmocka_unit_test(a_matched_attachment_is_removed_and_others_stay),
        cmocka_unit_test(every_matched_attachment_is_removed_however_many_there_are),
        cmocka_unit_test(what_is_not_in_the_list_of_what_may_come_is_removed),
        cmocka_unit_test(each_group_has_its_own_base_and_those_who_get_nothing_are_left_out),
        cmocka_unit_test(
            a_verdict_that_bypasses_filters_and_a_bypassed_recipient_are_asked_nothing),
        cmocka_unit_test(outbound_the_group_of_the_sender_counts_for_everybody),
        cmocka_unit_test(a_broken_envelope_makes_a_message_unscannable_and_not_unfiltered),
        cmocka_unit_test(more_than_fourteen_ways_to_change_a_message_are_refused),
        cmocka_unit_test(changed_policies_alone_are_loaded),
        cmocka_unit_test(wrong_policies_are_refused_and_the_old_ones_serve_on),
        cmocka_unit_test(a_dry_run_tells_each_condition_and_changes_nothing),
        cmocka_unit_test(a_dry_run_compiles_every_search_in_its_sandbox),
        cmocka_unit_test(a_dry_run_knows_the_verdict_and_takes_clean_messages),
        cmocka_unit_test(wrong_policies_are_named_by_a_dry_run),
    };
    return cmocka_run_group_tests(tests, begin, stop_engine);
}
