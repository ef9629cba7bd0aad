/* Content filters over a hostile message: what the view makes of it, every kind of condition, and
 * the answer that the mta gets. The input is the message. */
#include "scanner/engine/judge.h"
#include "scanner/engine/type.h"

#include <gmime/gmime.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RECIPIENTS 3

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char document[] =
    "{'format':1,'version':1,'scanner_id':'0190163d-8694-739b-aea5-966c26f8ad91',"
    "'issued_at':'2026-01-31T12:00:00Z','host_name':'mx.example.com',"
    "'smtp':{'inbound':{'listeners':[]},'outbound':{'listeners':[]}},'domains':[],"
    "'policies':{'groups':[{'id':'g','name':'G','members':['@g.example']}],"
    "'dictionaries':[{'id':'d','name':'D','words':[{'text':'report','weight':2},"
    "{'text':'\xe4\xbc\x9a\xe8\xad\xb0'}]}],"
    "'patterns':[{'id':'p','name':'P','expression':'[0-9]{4}(?=x)'}],"
    "'annotations':[{'id':'n','name':'N','text':'note'}],"
    "'folders':[{'id':'f','name':'F','quarantine':false}],"
    "'filters':["
    "{'id':'1','name':'1','match':'any','conditions':["
    "{'field':'any_text','op':'contains','values':['a','the'],'tags':true,'at_least':2},"
    "{'field':'body','op':'matches','values':['(?i)\\\\bfr[a-z]+\\\\b']},"
    "{'field':'attachment_text','op':'dictionary','id':'d'},"
    "{'field':'any_text','op':'pattern','id':'p'},"
    "{'field':'subject','op':'begins','values':['re']},"
    "{'field':'header','name':'Received','op':'exists'},"
    "{'field':'from','op':'address','values':['@.example.com']},"
    "{'field':'to','op':'ends','values':['example.com']}],"
    "'actions':[{'action':'incident','folder':'f'},{'action':'subject','text':'x',"
    "'place':'end'}]},"
    "{'id':'2','name':'2','match':'any','conditions':["
    "{'field':'attachment','op':'in_list','id':'premium.executables'},"
    "{'field':'attachment','op':'extension','values':['txt','bin']},"
    "{'field':'attachment_name','op':'contains','values':['.']},"
    "{'field':'attachment','op':'encrypted'},"
    "{'field':'attachment_size','op':'above','number':10},"
    "{'field':'language','values':['en','ja','unknown']}],"
    "'actions':[{'action':'strip','which':'matched'},{'action':'annotate','id':'n'}]},"
    "{'id':'3','name':'3','groups':['g'],'conditions':[{'field':'recipient','op':'contains',"
    "'values':['b']}],'actions':[{'action':'delete'}]}]}}";

static const char persons[] =
    "{'direction':'inbound','sender':{'address':'s@out.example'},'recipients':["
    "{'address':'a@in.example'},{'address':'b@g.example','group':'g'},"
    "{'address':'c@in.example','bypass':true}]}";

static char *quoted(const char *text)
{
    char *own = strdup(text);
    for (char *at = own; *at; at++)
        *at = *at == '\'' ? '"' : *at;
    return own;
}

static void start(struct filters *filters)
{
    struct error error = {0};
    char *text = quoted(document);
    g_mime_init();
    type_preload(NULL);
    struct scanner_config *config = config_parse(text, strlen(text), &error);
    if (!config || !filters_load(filters, config, &error)) {
        fprintf(stderr, "%s: %s\n", error.where, error.message);
        abort();
    }
    free(text);
}

static void check(const struct judgement *judgement)
{
    size_t seen[RECIPIENTS] = {0}, i, j;
    const json_t *outcome, *index;
    json_array_foreach(json_object_get(judgement->answer, "outcomes"), i, outcome)
    {
        const json_t *body = json_object_get(outcome, "body");
        if (body && (size_t)json_integer_value(body) >= judgement->body_count)
            abort();
        json_array_foreach(json_object_get(outcome, "recipients"), j, index)
        {
            seen[json_integer_value(index)]++;
        }
    }
    for (i = 0; i < RECIPIENTS; i++)
        if (seen[i] != 1)
            abort();
    char *text = json_dumps(judgement->answer, JSON_COMPACT); /* fails on what is not UTF-8 */
    if (!text)
        abort();
    free(text);
}

static void judge(const struct filters *filters, const struct tree *tree, size_t size)
{
    struct error error = {0};
    struct envelope envelope;
    struct judgement judgement;
    char *text = quoted(persons);
    json_t *object = json_loads(text, 0, NULL);
    json_t *result = json_pack("{s:s,s:[]}", "verdict", "clean", "verdicts");
    struct judge_order order = {.filters = filters,
                                .tree = tree,
                                .result = result,
                                .cleaned = -1,
                                .size = size,
                                .stop_us = tree->limits.stop_us,
                                .with_trace = true};
    if (!envelope_parse(object, filters->config->policy, &envelope, &error))
        abort();
    if (judge_message(&order, &envelope, &judgement, &error)) {
        check(&judgement);
        judgement_free(&judgement);
    }
    envelope_free(&envelope);
    json_decref(object);
    json_decref(result);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct filters filters;
    if (!filters.program)
        start(&filters);
    struct tree_limits limits = tree_default_limits(5000000);
    limits.unpacked_bytes = 4u << 20;
    limits.parts = 500;
    struct message *message = message_parse((const char *)data, size);
    struct tree *tree = message ? tree_build(message, &limits) : NULL;
    if (tree)
        judge(&filters, tree, size);
    tree_free(tree);
    message_free(message);
    return 0;
}
