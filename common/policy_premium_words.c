/* Dictionaries that Gatehouse has by itself. Weights: 1 is a hint, 5 says it outright. */
#include "common/policy_premium.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static struct policy_word confidential_english[] = {
    {"confidential", 3},
    {"strictly confidential", 5},
    {"company confidential", 5},
    {"highly confidential", 5},
    {"confidential information", 4},
    {"internal use only", 5},
    {"for internal use", 4},
    {"not for distribution", 5},
    {"do not distribute", 4},
    {"do not forward", 3},
    {"restricted", 2},
    {"proprietary", 3},
    {"trade secret", 5},
    {"classified", 2},
    {"top secret", 5},
    {"secret", 1},
    {"sensitive", 1},
    {"non-disclosure agreement", 4},
    {"nondisclosure agreement", 4},
    {"under nda", 5},
    {"attorney-client privilege", 5},
    {"attorney-client privileged", 5},
    {"attorney work product", 5},
    {"legally privileged", 5},
    {"privileged and confidential", 5},
    {"insider information", 5},
    {"unreleased", 2},
    {"embargoed", 3},
    {"under embargo", 4},
    {"draft - not for circulation", 5},
    {"board only", 4},
    {"need to know", 2},
};

static struct policy_word confidential_japanese[] = {
    {"社外秘", 5},       {"極秘", 5},     {"機密", 3},         {"機密情報", 4},
    {"機密文書", 5},     {"秘密情報", 4}, {"秘密保持", 3},     {"秘密保持契約", 4},
    {"守秘義務", 4},     {"部外秘", 5},   {"関係者外秘", 5},   {"関係者限り", 5},
    {"関係者以外", 3},   {"取扱注意", 4}, {"取扱厳重注意", 5}, {"厳秘", 5},
    {"丸秘", 5},         {"㊙", 5},       {"マル秘", 5},       {"転送禁止", 4},
    {"転載禁止", 3},     {"複製禁止", 3}, {"持出禁止", 5},     {"持ち出し禁止", 5},
    {"社内限り", 5},     {"社内限定", 4}, {"内部資料", 4},     {"未公開", 3},
    {"公開前", 2},       {"営業秘密", 5}, {"企業秘密", 5},     {"個人情報", 2},
    {"インサイダー", 3}, {"未公表", 3},
};

static struct policy_word financial_english[] = {
    {"bank account", 3},
    {"account number", 2},
    {"routing number", 4},
    {"sort code", 3},
    {"swift code", 3},
    {"wire transfer", 3},
    {"iban", 3},
    {"credit card", 3},
    {"card number", 3},
    {"cvv", 3},
    {"expiration date", 1},
    {"invoice", 1},
    {"payroll", 3},
    {"salary", 3},
    {"compensation", 1},
    {"bonus", 1},
    {"tax return", 3},
    {"balance sheet", 3},
    {"income statement", 3},
    {"cash flow", 2},
    {"profit and loss", 3},
    {"quarterly results", 3},
    {"earnings forecast", 4},
    {"revenue forecast", 4},
    {"merger", 3},
    {"acquisition", 2},
    {"takeover", 3},
    {"due diligence", 3},
    {"term sheet", 4},
    {"letter of intent", 3},
    {"initial public offering", 4},
    {"stock options", 3},
    {"purchase price", 2},
    {"price list", 1},
    {"loan agreement", 3},
    {"mortgage", 2},
};

static struct policy_word financial_japanese[] = {
    {"口座番号", 4},   {"銀行口座", 3},   {"支店番号", 3},
    {"暗証番号", 4},   {"振込先", 2},     {"振込", 1},
    {"請求書", 1},     {"見積書", 1},     {"クレジットカード", 3},
    {"カード番号", 3}, {"給与", 3},       {"給与明細", 4},
    {"賞与", 3},       {"年収", 3},       {"源泉徴収票", 4},
    {"確定申告", 3},   {"決算", 2},       {"決算短信", 3},
    {"貸借対照表", 3}, {"損益計算書", 3}, {"業績予想", 4},
    {"売上予測", 4},   {"合併", 3},       {"買収", 3},
    {"企業買収", 4},   {"株式公開", 3},   {"ストックオプション", 3},
    {"増資", 3},       {"融資", 2},       {"契約金額", 3},
    {"仕入価格", 3},   {"原価", 2},
};

static struct policy_word personal_english[] = {
    {"date of birth", 3},
    {"social security number", 5},
    {"passport number", 5},
    {"driver's license", 4},
    {"driving licence", 4},
    {"national insurance number", 5},
    {"medical record", 5},
    {"patient", 1},
    {"diagnosis", 3},
    {"prescription", 2},
    {"health insurance", 3},
    {"home address", 2},
    {"mother's maiden name", 5},
    {"marital status", 3},
    {"ethnicity", 3},
    {"religion", 1},
    {"curriculum vitae", 2},
    {"resume", 1},
    {"background check", 3},
    {"performance review", 3},
    {"disciplinary action", 4},
    {"termination letter", 4},
};

static struct policy_word personal_japanese[] = {
    {"生年月日", 3},       {"個人番号", 5},   {"マイナンバー", 5}, {"旅券番号", 5},
    {"パスポート番号", 5}, {"運転免許証", 4}, {"健康保険証", 4},   {"保険証番号", 5},
    {"基礎年金番号", 5},   {"住民票", 4},     {"戸籍謄本", 5},     {"本籍地", 5},
    {"診断書", 4},         {"病歴", 4},       {"カルテ", 4},       {"患者", 1},
    {"履歴書", 3},         {"職務経歴書", 3}, {"家族構成", 3},     {"自宅住所", 3},
    {"携帯番号", 2},       {"人事評価", 4},   {"懲戒処分", 4},     {"退職届", 3},
};

static struct policy_word credentials[] = {
    {"password", 2},
    {"passphrase", 3},
    {"your password is", 5},
    {"login credentials", 4},
    {"user name and password", 4},
    {"secret key", 4},
    {"private key", 4},
    {"begin rsa private key", 5},
    {"begin private key", 5},
    {"begin openssh private key", 5},
    {"begin pgp private key block", 5},
    {"api key", 4},
    {"access token", 4},
    {"client secret", 4},
    {"recovery code", 4},
    {"one-time password", 3},
    {"パスワード", 2},
    {"パスワードは", 4},
    {"解凍パスワード", 4},
    {"秘密鍵", 5},
    {"認証コード", 3},
    {"ログイン情報", 4},
};

#define DICTIONARY(id, name, words, whole)                                                         \
    {                                                                                              \
        id, name, words, COUNT_OF(words), whole, false                                             \
    }

/* Japanese is written without blanks between words. */
static const struct policy_dictionary dictionaries[] = {
    DICTIONARY("premium.confidential_en", "Confidentiality (English)", confidential_english, true),
    DICTIONARY("premium.confidential_ja", "Confidentiality (Japanese)", confidential_japanese,
               false),
    DICTIONARY("premium.financial_en", "Finance (English)", financial_english, true),
    DICTIONARY("premium.financial_ja", "Finance (Japanese)", financial_japanese, false),
    DICTIONARY("premium.personal_en", "Personal data (English)", personal_english, true),
    DICTIONARY("premium.personal_ja", "Personal data (Japanese)", personal_japanese, false),
    DICTIONARY("premium.credentials", "Passwords and keys", credentials, false),
};

const struct policy_dictionary *policy_premium_dictionaries(size_t *count)
{
    *count = COUNT_OF(dictionaries);
    return dictionaries;
}
