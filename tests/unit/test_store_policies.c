/* The draft of the policies and the versions in force. */
#include "test_store_scene.h"

#include "controlcenter/store/policies.h"

static json_t *read_draft(struct scene *scene, int64_t *revision)
{
    json_t *draft;
    ok((draft = store_policy_draft(scene->store, revision, &error)) != NULL);
    return draft;
}

static void put(struct scene *scene, const char *text)
{
    int64_t revision;
    cleanup_json json_t *old = read_draft(scene, &revision);
    cleanup_json json_t *draft = json_loads(text, 0, NULL);
    assert_non_null(draft);
    ok(store_policy_draft_put(scene->store, draft, revision, text, "ann", &error));
}

static int64_t publish(struct scene *scene, const char *comment)
{
    int64_t revision, version;
    cleanup_json json_t *draft = read_draft(scene, &revision);
    ok(store_policy_publish(scene->store, revision, comment, "bob", &version, &error));
    return version;
}

static bool is_changed(struct scene *scene)
{
    bool changed = false;
    ok(store_policy_is_changed(scene->store, &changed, &error));
    return changed;
}

static void check_draft(struct scene *scene, const char *text)
{
    int64_t revision;
    cleanup_json json_t *draft = read_draft(scene, &revision);
    cleanup_json json_t *expected = json_loads(text, 0, NULL);
    assert_true(json_equal(draft, expected));
}

static void at_first_there_is_an_empty_draft_and_nothing_in_force(void **state)
{
    struct scene *scene = *state;
    int64_t version = 7;
    check_draft(scene, "{}");
    assert_false(is_changed(scene));
    fails(ERROR_NOT_FOUND, store_policy_active(scene->store, &version, &error) != NULL);
    fails(ERROR_NOT_FOUND, store_policy_version(scene->store, 1, &error) != NULL);
    ok(store_policy_active_version(scene->store, &version, &error));
    assert_int_equal(version, 0);
}

static void a_draft_reaches_scanners_when_it_is_put_in_force(void **state)
{
    struct scene *scene = *state;
    int64_t before = version_of(scene), version;
    put(scene, "{\"groups\":[]}");
    assert_int_equal(version_of(scene), before);
    assert_true(is_changed(scene));
    assert_int_equal(publish(scene, "first"), 1);
    assert_int_equal(version_of(scene), before + 1);
    assert_false(is_changed(scene));
    put(scene, "{\"lists\":[]}");
    cleanup_json json_t *active = NULL;
    ok((active = store_policy_active(scene->store, &version, &error)) != NULL);
    assert_int_equal(version, 1);
    assert_non_null(json_object_get(active, "groups"));
    assert_int_equal(publish(scene, "second"), 2);
    cleanup_json json_t *first = NULL;
    ok((first = store_policy_version(scene->store, 1, &error)) != NULL);
    assert_true(json_equal(active, first));
}

static void who_was_slower_is_told(void **state)
{
    struct scene *scene = *state;
    int64_t revision, again, version;
    cleanup_json json_t *draft = read_draft(scene, &revision);
    put(scene, "{\"lists\":[]}");
    fails(ERROR_EXISTS, store_policy_draft_put(scene->store, draft, revision, "x", "ann", &error));
    fails(ERROR_EXISTS, store_policy_publish(scene->store, revision, "x", "ann", &version, &error));
    check_draft(scene, "{\"lists\":[]}");
    cleanup_json json_t *newer = read_draft(scene, &again);
    assert_true(again > revision);
}

static void a_discarded_draft_is_what_is_in_force(void **state)
{
    struct scene *scene = *state;
    put(scene, "{\"lists\":[]}");
    ok(store_policy_discard(scene->store, "ann", &error));
    check_draft(scene, "{}");
    put(scene, "{\"groups\":[]}");
    publish(scene, "");
    put(scene, "{}");
    ok(store_policy_discard(scene->store, "ann", &error));
    assert_false(is_changed(scene));
    check_draft(scene, "{\"groups\":[]}");
    assert_int_equal(count_of(scene, "SELECT count(*) FROM administrator_log WHERE"
                                     " action = 'policies.discard' AND administrator = 'ann'"),
                     2);
}

static void versions_tell_who_and_what(void **state)
{
    struct scene *scene = *state;
    struct store_policy_version *versions;
    size_t count;
    put(scene, "{\"a\":1}");
    put(scene, "{\"a\":2}");
    publish(scene, "first");
    put(scene, "{\"a\":3}");
    publish(scene, "second");
    ok(store_policy_versions(scene->store, 0, 10, &versions, &count, &error));
    assert_int_equal(count, 2);
    assert_int_equal(versions[0].version, 2);
    assert_string_equal(versions[1].comment, "first");
    assert_string_equal(versions[1].administrator, "bob");
    assert_true(versions[1].at > timestamp_now_ms() - 60000);
    assert_int_equal(json_array_size(versions[1].changes), 2);
    assert_string_equal(json_string_value(json_array_get(versions[1].changes, 0)), "{\"a\":1}");
    store_policy_versions_free(versions, count);
    ok(store_policy_versions(scene->store, 2, 10, &versions, &count, &error));
    assert_int_equal(count, 1);
    assert_int_equal(versions[0].version, 1);
    store_policy_versions_free(versions, count);
    assert_int_equal(count_of(scene, "SELECT count(*) FROM administrator_log"
                                     " WHERE action = 'policies.publish'"
                                     " AND new_value->>'comment' = 'second'"),
                     1);
}

#define DICTIONARY(words) "{\"dictionaries\":[{\"id\":\"d\",\"words\":[" words "]}]}"

static void words_stand_once_and_go_with_the_last_document(void **state)
{
    struct scene *scene = *state;
    put(scene, DICTIONARY("{\"text\":\"one\"}"));
    check_draft(scene, DICTIONARY("{\"text\":\"one\"}"));
    publish(scene, "");
    put(scene, DICTIONARY("{\"text\":\"two\"}"));
    put(scene, DICTIONARY("{\"text\":\"three\"}"));
    assert_int_equal(count_of(scene, "SELECT count(*) FROM policy_words"), 2);
    check_draft(scene, DICTIONARY("{\"text\":\"three\"}"));
    ok(store_policy_discard(scene->store, "ann", &error));
    assert_int_equal(count_of(scene, "SELECT count(*) FROM policy_words"), 1);
    check_draft(scene, DICTIONARY("{\"text\":\"one\"}"));
}

static void words_come_back_as_they_were(void **state)
{
    struct scene *scene = *state;
    static const char words[] =
        DICTIONARY("{\"text\":\"a \\\"b\\\" \\\\ \\n\"},{\"text\":\"\xe3\x81\x82\",\"weight\":7},"
                   "{\"weight\":1,\"text\":\"c\",\"note\":{\"x\":[]}},3,[],{}");
    put(scene, words);
    check_draft(scene, words);
}

static void what_is_too_large_is_refused(void **state)
{
    struct scene *scene = *state;
    int64_t revision;
    cleanup_json json_t *draft = read_draft(scene, &revision);
    cleanup_free char *large = malloc((49u << 20) + 1);
    memset(large, 'x', 49u << 20);
    large[49u << 20] = '\0';
    cleanup_json json_t *whole = json_pack("{s:[{s:[s]}]}", "dictionaries", "words", large);
    fails(ERROR_LIMIT, store_policy_draft_put(scene->store, whole, revision, "x", "ann", &error));
    cleanup_json json_t *array = json_array();
    fails(ERROR_INVALID, store_policy_draft_put(scene->store, array, revision, "x", "ann", &error));
    check_draft(scene, "{}");
}

static void a_light_draft_keeps_the_words(void **state)
{
    struct scene *scene = *state;
    int64_t revision;
    put(scene, DICTIONARY("{\"text\":\"one\"},{\"text\":\"two\"}"));
    cleanup_json json_t *light = NULL;
    ok((light = store_policy_draft_light(scene->store, &revision, &error)) != NULL);
    json_t *words =
        json_object_get(json_array_get(json_object_get(light, "dictionaries"), 0), "words");
    assert_int_equal(json_integer_value(json_object_get(words, "count")), 2);
    ok(store_policy_draft_put(scene->store, light, revision, "x", "ann", &error));
    check_draft(scene, DICTIONARY("{\"text\":\"one\"},{\"text\":\"two\"}"));
    publish(scene, "");
    int64_t version;
    cleanup_json json_t *active = store_policy_active_light(scene->store, &version, NULL);
    assert_true(json_equal(active, light));
    json_object_set_new(words, "hash", json_string("0000"));
    fails(ERROR_INVALID,
          store_policy_draft_put(scene->store, light, revision + 1, "x", "ann", &error));
}

/* A million words: the first save stores them, the next ones do not. */
static void a_draft_with_a_million_words_is_saved_soon(void **state)
{
    struct scene *scene = *state;
    int64_t revision;
    char word[32];
    cleanup_json json_t *words = json_array();
    for (int i = 0; i < 1000000; i++) {
        snprintf(word, sizeof(word), "word%07d", i);
        json_array_append_new(words, json_pack("{s:s,s:i}", "text", word, "weight", 1));
    }
    cleanup_json json_t *draft =
        json_pack("{s:[{s:s,s:s,s:O}]}", "dictionaries", "id", "d", "name", "d", "words", words);
    cleanup_json json_t *old = read_draft(scene, &revision);
    int64_t start = timestamp_monotonic_ms();
    ok(store_policy_draft_put(scene->store, draft, revision, "words", "ann", &error));
    int64_t first = timestamp_monotonic_ms();
    cleanup_json json_t *again = read_draft(scene, &revision);
    int64_t read = timestamp_monotonic_ms();
    assert_true(json_equal(draft, again));
    int64_t compared = timestamp_monotonic_ms();
    ok(store_policy_draft_put(scene->store, again, revision, "nothing", "ann", &error));
    int64_t second = timestamp_monotonic_ms();
    cleanup_json json_t *light = store_policy_draft_light(scene->store, &revision, NULL);
    ok(store_policy_draft_put(scene->store, light, revision, "light", "ann", &error));
    int64_t third = timestamp_monotonic_ms();
    print_message("first save %lld ms, read %lld ms, next save %lld ms, "
                  "light read and save %lld ms\n",
                  (long long)(first - start), (long long)(read - first),
                  (long long)(second - compared), (long long)(third - second));
    assert_true(third - second < 2000);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        scene_test(at_first_there_is_an_empty_draft_and_nothing_in_force),
        scene_test(a_draft_reaches_scanners_when_it_is_put_in_force),
        scene_test(who_was_slower_is_told),
        scene_test(a_discarded_draft_is_what_is_in_force),
        scene_test(versions_tell_who_and_what),
        scene_test(words_stand_once_and_go_with_the_last_document),
        scene_test(words_come_back_as_they_were),
        scene_test(what_is_too_large_is_refused),
        scene_test(a_light_draft_keeps_the_words),
        scene_test(a_draft_with_a_million_words_is_saved_soon),
    };
    return cmocka_run_group_tests_name("store: policies", tests, open_group, close_group);
}
