/* Random and mutated bytes into everything that reads input from outside. The seed is fixed, so
 * that a failure comes back; GATEHOUSE_FUZZ_SEED and GATEHOUSE_FUZZ_ROUNDS widen the search. */
#include "common/address.h"
#include "common/buffer.h"
#include "common/cleanup.h"
#include "common/config_model.h"
#include "common/ip.h"
#include "common/ipc.h"
#include "common/json.h"
#include "common/message_id.h"
#include "common/signing.h"
#include "common/timestamp.h"
#include "common/utf8.h"
#include "common/x509.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define DEFAULT_ROUNDS 20000
#define MOST_BYTES 512

static uint64_t random_state;

static uint64_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static size_t below(size_t limit)
{
    return limit ? next_random() % limit : 0;
}

static long setting(const char *name, long fallback)
{
    const char *text = getenv(name);
    return text && *text ? strtol(text, NULL, 10) : fallback;
}

static long start(void)
{
    random_state = (uint64_t)setting("GATEHOUSE_FUZZ_SEED", 20260131) * 2654435761u + 1;
    return setting("GATEHOUSE_FUZZ_ROUNDS", DEFAULT_ROUNDS);
}

/* Memory of exactly `length` bytes, so that the sanitizer sees a read behind it. */
static char *exact(const char *bytes, size_t length)
{
    char *copy = malloc(length ? length : 1);
    assert_non_null(copy);
    memcpy(copy, bytes, length);
    return copy;
}

/* Bytes of `alphabet` and now and then any byte. */
static size_t random_bytes(char *to, const char *alphabet, size_t most)
{
    size_t length = below(most + 1), letters = strlen(alphabet);
    for (size_t i = 0; i < length; i++)
        to[i] = below(16) == 0 ? (char)next_random() : alphabet[below(letters)];
    return length;
}

static void mutate(struct buffer *text)
{
    for (size_t changes = 1 + below(4); changes > 0 && text->length > 0; changes--) {
        size_t at = below(text->length);
        size_t span = 1 + below(8);
        if (span > text->length - at)
            span = text->length - at;
        switch (below(4)) {
        case 0:
            text->data[at] = (char)next_random();
            break;
        case 1:
            text->data[at] = "{}[]\":,0-9.eE\\u"[below(15)];
            break;
        case 2:
            memmove(text->data + at, text->data + at + span, text->length - at - span);
            text->length -= span;
            break;
        default:
            for (size_t i = 0; i < span; i++)
                buffer_add(text, text->data + at + i, 1);
        }
    }
}

static char *mutated(const char *seed, size_t *length)
{
    struct buffer text = BUFFER_INIT;
    /* The room is there before mutate adds the buffer's own bytes to itself. */
    assert_non_null(buffer_reserve(&text, strlen(seed) + 64));
    buffer_add_text(&text, seed);
    mutate(&text);
    *length = text.length;
    char *copy = exact(text.data, text.length);
    buffer_free(&text);
    return copy;
}

/* --- texts --- */

static bool has_raw_control(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            return true;
    return false;
}

static void whatever_is_accepted_as_an_address_is_safe_to_use(void **state)
{
    static const char alphabet[] = "ab1.@\"\\[]:-_ <>IPv6\xc3\xbc\xe2\x82\xac";
    char bytes[MOST_BYTES];
    long accepted = 0;
    (void)state;
    for (long round = start() * 10; round > 0; round--) {
        size_t length = random_bytes(bytes, alphabet, below(16) ? 12 : MOST_BYTES);
        cleanup_free char *text = exact(bytes, length);
        bool utf8 = below(2);
        if (address_check(text, length, utf8))
            continue;
        accepted++;
        assert_in_range(length, 3, 254);
        assert_false(has_raw_control(text, length));
        assert_true(utf8_valid(text, length));
        assert_non_null(memchr(text, '@', length));
        for (size_t i = 0; !utf8 && i < length; i++)
            assert_true((unsigned char)text[i] < 0x80);
    }
    assert_true(accepted > 100);
}

static void a_normalised_domain_is_normal_and_valid(void **state)
{
    static const char alphabet[] = "abAZ019.-_xn--\xc3\xbc\xc3\x9f\xe6\x97\xa5\xef\xbc\xa1\xcc\x88";
    char bytes[MOST_BYTES + 1];
    long accepted = 0;
    (void)state;
    for (long round = start(); round > 0; round--) {
        char normal[DOMAIN_SIZE], again[DOMAIN_SIZE];
        size_t length = random_bytes(bytes, alphabet, below(16) ? 12 : MOST_BYTES);
        bytes[length] = '\0';
        if (domain_normalise(bytes, true, normal))
            continue;
        accepted++;
        assert_in_range(strlen(normal), 1, 253);
        assert_int_equal(strspn(normal, "abcdefghijklmnopqrstuvwxyz0123456789.-"), strlen(normal));
        assert_null(domain_normalise(normal, false, again));
        assert_string_equal(normal, again);
    }
    assert_true(accepted > 100);
}

static void small_parsers_survive_anything(void **state)
{
    static const char alphabet[] = "0123456789abcdefTZ:.-/";
    char bytes[64];
    (void)state;
    for (long round = start() * 5; round > 0; round--) {
        struct ip_address address;
        struct ip_network network;
        struct message_id id;
        char out[MESSAGE_ID_TEXT_SIZE], time_text[TIMESTAMP_TEXT_SIZE];
        int64_t at;
        size_t length = random_bytes(bytes, alphabet, 60);
        cleanup_free char *text = strndup(bytes, length);
        if (ip_parse(text, &address))
            assert_true(strlen(ip_text(&address, out)) > 0);
        if (ip_network_parse(text, &network))
            assert_true(network.prefix <= 128);
        if (message_id_parse(text, &id))
            assert_int_equal(strcasecmp(message_id_text(&id, out), text), 0);
        if (timestamp_parse(text, &at))
            assert_memory_equal(timestamp_text(at, time_text), text, 19);
        (void)timestamp_rfc5322((int64_t)next_random(), time_text);
        size_t kept = utf8_scrub(bytes, length);
        assert_true(kept <= length && utf8_valid(bytes, kept) && !has_raw_control(bytes, kept));
    }
}

/* --- documents --- */

static const char document[] =
    "{\"format\":1,\"version\":7,\"scanner_id\":\"0190163d-8694-739b-aea5-966c26f8ad91\","
    "\"issued_at\":\"2026-01-31T12:00:00.123Z\",\"host_name\":\"mx.example.com\","
    "\"smtp\":{\"inbound\":{\"listeners\":[{\"address\":\"192.0.2.1\",\"port\":25}],"
    "\"max_errors\":4},\"outbound\":{\"listeners\":[{\"address\":\"::1\",\"port\":587}],"
    "\"allowed_networks\":[\"10.0.0.0/8\"]},\"delivery\":{\"retry_seconds\":[1,2],"
    "\"dns_servers\":[\"::1\"]}},\"domains\":[{\"name\":\"b\xc3\xbc"
    "cher.example\",\"route\":"
    "{\"kind\":\"relay\",\"relays\":[{\"host\":\"a.b\",\"port\":26},{\"host\":\"::2\"}]}},"
    "{\"name\":\"a.example\",\"route\":{\"kind\":\"mx\"}}],\"default_route\":{\"kind\":\"mx\"},"
    "\"policies\":{\"malware\":{\"virus\":{\"action\":\"reject\"}}},\"engine\":{\"workers\":3}}";

static void assert_fit_to_show(const struct error *error)
{
    assert_true(error->code == ERROR_INVALID || error->code == ERROR_DENIED ||
                error->code == ERROR_PROTOCOL);
    assert_true(error->message[0]);
    cleanup_json json_t *where = json_string(error->where);
    cleanup_json json_t *message = json_string(error->message);
    assert_non_null(where);
    assert_non_null(message);
    assert_false(has_raw_control(error->message, strlen(error->message)));
    assert_false(has_raw_control(error->where, strlen(error->where)));
}

static void a_mutated_document_is_refused_properly_or_valid(void **state)
{
    long accepted = 0, refused = 0;
    (void)state;
    for (long round = start(); round > 0; round--) {
        struct error error = {0};
        size_t length;
        cleanup_free char *text = mutated(document, &length);
        struct scanner_config *config = config_parse(text, length, &error);
        if (!config) {
            refused++;
            assert_fit_to_show(&error);
            continue;
        }
        accepted++;
        for (size_t i = 0; i < config->domain_count; i++)
            assert_ptr_equal(config_find_domain(config, config->domains[i].name),
                             &config->domains[i]);
        assert_true(config->delivery.retry_count > 0);
        config_free(config);
    }
    assert_true(accepted > 10 && refused > 10);
}

static void mutated_json_is_refused_properly_or_round_trips(void **state)
{
    static const char alphabet[] = "{}[]\":,0123456789.-eE\\untrfalse ";
    char bytes[MOST_BYTES];
    (void)state;
    for (long round = start(); round > 0; round--) {
        struct error error = {0};
        size_t length = random_bytes(bytes, alphabet, 40);
        cleanup_free char *text = below(2) ? mutated(document, &length) : exact(bytes, length);
        cleanup_json json_t *value = json_parse(text, length, "input", &error);
        if (!value) {
            assert_fit_to_show(&error);
            continue;
        }
        cleanup_free char *written = json_text(value);
        cleanup_json json_t *again = json_parse(written, strlen(written), "again", &error);
        assert_true(json_equal(value, again));
    }
}

static void no_mutated_envelope_opens_as_another_document(void **state)
{
    char public_key[SIGNING_KEY_TEXT_SIZE], secret_key[SIGNING_SECRET_TEXT_SIZE];
    char bytes[MOST_BYTES];
    (void)state;
    assert_true(signing_new_keys(public_key, secret_key, NULL));
    cleanup_free char *envelope = signing_seal(document, secret_key, NULL);
    for (long round = start(); round > 0; round--) {
        struct error error = {0};
        size_t length = random_bytes(bytes, "{}\":documentsignature", MOST_BYTES);
        cleanup_free char *text = below(8) ? mutated(envelope, &length) : exact(bytes, length);
        cleanup_free char *opened = signing_open(text, length, public_key, &error);
        if (opened)
            assert_string_equal(opened, document);
        else
            assert_fit_to_show(&error);
    }
}

static void mutated_frames_are_refused_properly_or_objects(void **state)
{
    (void)state;
    for (long round = start() / 4; round > 0; round--) {
        struct error error = {0};
        int ends[2], descriptor;
        size_t length;
        cleanup_free char *text = mutated("{\"op\":\"status\",\"after\":1}", &length);
        unsigned char head[4] = {0, 0, below(64) == 0, (unsigned char)length};
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
        assert_int_equal(send(ends[0], head, 4, 0), 4);
        assert_int_equal(send(ends[0], text, length, 0), length);
        shutdown(ends[0], SHUT_WR);
        cleanup_json json_t *frame = ipc_receive(ends[1], 1000, &error);
        assert_true(frame ? json_is_object(frame) : error.code != ERROR_NONE);
        close(ends[0]);
        close(ends[1]);
        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
        assert_int_equal(send(ends[0], text, length, 0), length);
        cleanup_json json_t *packet = ipc_packet_receive(ends[1], &descriptor, &error);
        assert_true(packet ? json_is_object(packet) : length == 0 || error.code == ERROR_PROTOCOL);
        assert_int_equal(descriptor, -1);
        close(ends[0]);
        close(ends[1]);
    }
}

static void mutated_certificates_and_requests_are_refused_or_parsed(void **state)
{
    (void)state;
    cleanup_free char *key = x509_new_key(NULL);
    cleanup_free char *ca = x509_new_ca(key, "CA", 10, NULL);
    cleanup_free char *request = x509_new_request(key, "a", NULL);
    for (long round = start() / 20; round > 0; round--) {
        unsigned char print[32];
        long long seconds;
        size_t length;
        cleanup_free char *bytes = mutated(below(2) ? ca : request, &length);
        cleanup_free char *text = strndup(bytes, length);
        (void)x509_fingerprint(text, print, NULL);
        (void)x509_not_after(text, &seconds, NULL);
        cleanup_free char *leaf =
            x509_sign_request(text, key, ca, "a", X509_USE_CLIENT, NULL, 0, 5, NULL);
        assert_true(!leaf || strstr(leaf, "-----BEGIN CERTIFICATE-----") == leaf);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_is_accepted_as_an_address_is_safe_to_use),
        cmocka_unit_test(a_normalised_domain_is_normal_and_valid),
        cmocka_unit_test(small_parsers_survive_anything),
        cmocka_unit_test(a_mutated_document_is_refused_properly_or_valid),
        cmocka_unit_test(mutated_json_is_refused_properly_or_round_trips),
        cmocka_unit_test(no_mutated_envelope_opens_as_another_document),
        cmocka_unit_test(mutated_frames_are_refused_properly_or_objects),
        cmocka_unit_test(mutated_certificates_and_requests_are_refused_or_parsed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
