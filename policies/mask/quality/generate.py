"""Writes texts with known values in them: one JSON object a line, {"text", "locale", "form", "spans": [[start, end, kind]]}.

Values and the text around them come from Faker and from the vendors' descriptions of their keys, never from this policy's
patterns. Offsets count characters. The same seed and count give the same bytes.

    generate.py --seed S --count N
"""

import argparse
import base64
import json
import random
import string
import sys

from faker import Faker

LOCALES = """en_US en_GB en_IN de_DE fr_FR es_ES es_MX it_IT pt_BR nl_NL pl_PL sv_SE cs_CZ tr_TR ru_RU uk_UA el_GR he_IL
ar_AA hi_IN zh_CN ja_JP ko_KR vi_VN""".split()

ALNUM = string.ascii_letters + string.digits
UPPER = string.ascii_uppercase + string.digits
LOWER = string.ascii_lowercase + string.digits
WORD = ALNUM + "-_"
BASE64 = ALNUM + "+/"
HEX = "0123456789abcdef"

# A value is carried through templates, JSON and tables between two characters of a private-use area.
FIRST_MARK, END_MARK = 0xE100, "\uE000"


class Source:
    """Everything random, from one seed."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        Faker.seed(seed)
        self.fakers = {locale: Faker(locale) for locale in LOCALES}
        self.english = self.fakers["en_US"]

    def of(self, alphabet, count):
        return "".join(self.random.choices(alphabet, k=count))

    def pick(self, *options):
        return self.random.choice(options)

    def grouped(self, digits, sizes, separator):
        parts, at = [], 0
        for size in sizes:
            parts.append(digits[at : at + size])
            at += size
        return separator.join(part for part in parts + [digits[at:]] if part)


# ------------------------------------------------------------------------------------------------------------- values


def card(s):
    while True:
        number = s.english.credit_card_number()
        # Faker takes all of 35 for JCB, whose range is 3528 to 3589.
        if number[:2] != "35" or 28 <= int(number[2:4]) <= 89:
            break
    if len(number) < 14 or s.random.random() < 0.4:
        return number
    sizes = [4, 6, 5] if len(number) == 15 and number[0] == "3" else [4, 6, 4] if len(number) == 14 else [4, 4, 4, 4]
    return number if len(number) == 15 and number[0] != "3" else s.grouped(number, sizes, s.pick(" ", "-"))


def ssn(s):
    return s.english.ssn(taxpayer_identification_number_type="SSN").replace("-", s.pick("-", "-", "-", " "))


def itin(s):
    return s.english.ssn(taxpayer_identification_number_type="ITIN")


def iban(s):
    while True:
        number = s.fakers[s.pick(*LOCALES)].iban()
        # Faker's British numbers lack a digit.
        if number[:2] != "GB":
            break
    return s.pick(number, s.grouped(number, [4] * 9, " "))


def email(s):
    fake = s.fakers[s.pick(*LOCALES)]
    return s.pick(fake.ascii_email(), fake.email(), fake.safe_email(), fake.company_email())


def phone(s):
    while True:
        number = s.fakers[s.pick(*LOCALES)].phone_number()
        if number.startswith("+"):
            return number


def phone_nanp(s):
    area, exchange, line = (str(s.random.randint(low, high)) for low, high in ((201, 989), (200, 999), (1000, 9999)))
    return s.pick(f"({area}) {exchange}-{line}", f"{area}-{exchange}-{line}", f"{area}.{exchange}.{line}", f"1-{area}-{exchange}-{line}")


def pem(s):
    kind = s.pick("RSA ", "EC ", "", "OPENSSH ", "ENCRYPTED ")
    body = base64.b64encode(s.random.randbytes(s.random.randint(90, 400))).decode()
    lines = "\n".join(body[at : at + 64] for at in range(0, len(body), 64))
    return f"-----BEGIN {kind}PRIVATE KEY-----\n{lines}\n-----END {kind}PRIVATE KEY-----"


def pem_part(s):
    """One that is cut off, in a line of which a part is there; some with the headers of RFC 1421 or RFC 9580."""
    head, *lines, _ = pem(s).split("\n")
    full = s.random.randint(0, len(lines) - 2)
    headers = s.pick([], [], ["Proc-Type: 4,ENCRYPTED", f"DEK-Info: AES-128-CBC,{s.of(HEX.upper(), 32)}", ""], ["Version: GnuPG v2", ""])
    if headers and headers[0].startswith("Version"):
        head = "-----BEGIN PGP PRIVATE KEY BLOCK-----"
    return "\n".join([head, *headers, *lines[:full], lines[full][: s.random.randint(20, 64)]])


def jwt(s):
    def part(value):
        return base64.urlsafe_b64encode(value).decode().rstrip("=")

    head = part(json.dumps({"alg": s.pick("HS256", "RS256", "ES256"), "typ": "JWT"}).encode())
    claims = part(json.dumps({"sub": s.of(string.digits, 10), "iat": s.random.randint(1.6e9, 1.8e9)}).encode())
    return f"{head}.{claims}.{part(s.random.randbytes(s.pick(32, 64, 256)))}"


def jwe(s):
    """Encrypted (RFC 7516): five parts, of which the second is empty with a key that both sides have."""
    head = base64.urlsafe_b64encode(json.dumps({"alg": "dir", "enc": "A256GCM"}).encode()).decode().rstrip("=")
    return ".".join([head, s.pick("", s.of(WORD, 342)), s.of(ALNUM, 16), s.of(ALNUM, s.random.randint(40, 300)), s.of(ALNUM, 22)])


# Kinds and how they are made. What a vendor publishes about its keys is in the comment of each group.
PEOPLE = {
    "card": card,
    "iban": iban,
    "ssn": ssn,
    "itin": itin,
    "email": email,
    "phone": phone,
    "phone-nanp": phone_nanp,
    "ipv4": lambda s: s.pick(s.english.ipv4_public(), s.english.ipv4_private()),
    "ipv6": lambda s: s.english.ipv6(),
    "mac": lambda s: s.english.mac_address(),
}

KEYS = {
    "private-key": pem,
    "private-key-part": pem_part,
    "age-key": lambda s: f"AGE-SECRET-KEY-1{s.of('QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L', 58)}",
    "jwt": lambda s: s.pick(jwt, jwt, jwe)(s),
    "anthropic-key": lambda s: f"sk-ant-{s.pick('api03', 'admin01')}-{s.of(WORD, 93)}AA",
    "openai-key": lambda s: s.pick(
        f"sk-{s.of(ALNUM, 20)}T3BlbkFJ{s.of(ALNUM, 20)}",
        f"sk-{s.pick('proj', 'svcacct', 'admin')}-{s.of(WORD, 74)}T3BlbkFJ{s.of(WORD, 74)}",
    ),
    "openrouter-key": lambda s: f"sk-or-v1-{s.of(HEX, 64)}",
    "huggingface-token": lambda s: f"hf_{s.of(string.ascii_letters, 34)}",
    "groq-key": lambda s: f"gsk_{s.of(ALNUM, 52)}",
    "xai-key": lambda s: f"xai-{s.of(ALNUM, 80)}",
    "perplexity-key": lambda s: f"pplx-{s.of(ALNUM, 48)}",
    "replicate-token": lambda s: f"r8_{s.of(ALNUM, 37)}",
    "nvidia-key": lambda s: f"nvapi-{s.of(WORD, 64)}",
    "langsmith-key": lambda s: f"lsv2_{s.pick('pt', 'sk')}_{s.of(HEX, 32)}_{s.of(HEX, 10)}",
    "pinecone-key": lambda s: f"pcsk_{s.of(ALNUM, 5)}_{s.of(ALNUM, 63)}",
    "aws-access-key": lambda s: s.pick("AKIA", "ASIA") + s.of("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 16),
    "aws-secret-key": lambda s: s.of(BASE64, 40),
    "aws-bedrock-key": lambda s: f"ABSK{s.of(BASE64, 128)}",
    "google-key": lambda s: s.pick(
        f"AIza{s.of(WORD, 35)}", f"AQ.Ab8RN6{s.of(ALNUM, 44)}", f"GOCSPX-{s.of(WORD, 28)}", f"ya29.{s.of(WORD, 120)}"
    ),
    "azure-storage-key": lambda s: s.of(BASE64, 86) + "==",
    "azure-key": lambda s: s.pick(
        f"{s.of(BASE64, 76)}+ASt{s.of(ALNUM, 5)}{s.pick(*'AQgw')}==",
        f"{s.of(ALNUM, 52)}JQQJ99{s.of(UPPER, 4)}AC{s.of(ALNUM, 20)}",
        f"{s.of(ALNUM, 76)}AZDO{s.of(ALNUM, 4)}",
    ),
    "azure-client-secret": lambda s: f"{s.of(ALNUM, 3)}8Q~{s.of(ALNUM + '_.~-', 33)}{s.of(ALNUM, 1)}",
    "digitalocean-token": lambda s: f"do{s.pick(*'opr')}_v1_{s.of(HEX, 64)}",
    "heroku-key": lambda s: f"HRKU-AA{s.of(WORD, 58)}",
    "alibaba-key": lambda s: f"LTAI{s.of(ALNUM, 20)}",
    "cloudflare-key": lambda s: f"v1.0-{s.of(HEX, 24)}-{s.of(HEX, 146)}",
    "databricks-token": lambda s: f"dapi{s.of(HEX, 32)}" + s.pick("", "-2"),
    "github-token": lambda s: s.pick(
        f"gh{s.pick(*'pousr')}_{s.of(ALNUM, 36)}",
        f"github_pat_{s.of(ALNUM, 22)}_{s.of(ALNUM, 59)}",
        f"ghs_{s.of(string.digits, 7)}_{jwt(s)}",
    ),
    "gitlab-token": lambda s: s.pick(f"glpat-{s.of(WORD, 20)}", f"gldt-{s.of(WORD, 20)}", f"glpat-{s.of(WORD, 27)}.01.{s.of(LOWER, 7)}"),
    "bitbucket-token": lambda s: s.pick(f"ATBB{s.of(ALNUM, 32)}", f"ATATT3{s.of(WORD, 180)}={s.of(UPPER, 8)}"),
    "npm-token": lambda s: f"npm_{s.of(ALNUM, 36)}",
    "pypi-token": lambda s: f"pypi-AgEIcHlwaS5vcmc{s.of(WORD, 130)}",
    "crates-token": lambda s: f"cio{s.of(ALNUM, 32)}",
    "rubygems-key": lambda s: f"rubygems_{s.of(HEX, 48)}",
    "nuget-key": lambda s: f"oy2{s.of(LOWER, 43)}",
    "docker-token": lambda s: f"dckr_pat_{s.of(WORD, 27)}",
    "terraform-token": lambda s: f"{s.of(ALNUM, 14)}.atlasv1.{s.of(WORD, 67)}",
    "vault-token": lambda s: f"hvs.{s.of(WORD, 95)}",
    "pulumi-token": lambda s: f"pul-{s.of(HEX, 40)}",
    "doppler-token": lambda s: f"dp.pt.{s.of(ALNUM, 43)}",
    "postman-key": lambda s: f"PMAK-{s.of(HEX, 24)}-{s.of(HEX, 34)}",
    "stripe-key": lambda s: s.pick(
        f"{s.pick('sk', 'rk')}_{s.pick('live', 'test')}_{s.of(ALNUM, 24)}",
        f"sk_org_{s.pick('', 'live_', 'test_')}{s.of(ALNUM, 99)}",
        f"whsec_{s.of(ALNUM, 32)}",
    ),
    "square-token": lambda s: f"sq0atp-{s.of(WORD, 22)}",
    "shopify-token": lambda s: f"shpat_{s.of(HEX, 32)}",
    "slack-token": lambda s: s.pick(
        f"xoxb-{s.of(string.digits, 12)}-{s.of(string.digits, 13)}-{s.of(ALNUM, 24)}",
        f"xapp-1-{s.of(UPPER, 11)}-{s.of(string.digits, 13)}-{s.of(HEX, 64)}",
        f"xoxc-{s.of(string.digits, 12)}-{s.of(string.digits, 12)}-{s.of(string.digits, 13)}-{s.of(HEX, 64)}",
        f"xoxd-{s.of(ALNUM, 40)}%2B{s.of(ALNUM, 60)}%3D",
    ),
    "slack-webhook": lambda s: f"hooks.slack.com/services/T{s.of(UPPER, 8)}/B{s.of(UPPER, 8)}/{s.of(ALNUM, 24)}",
    "discord-token": lambda s: f"{s.pick(*'MNO')}{s.of(ALNUM, 25)}.{s.of(WORD, 6)}.{s.of(WORD, 38)}",
    "telegram-token": lambda s: f"{s.random.randint(10**8, 10**10 - 1)}:AA{s.of(WORD, 33)}",
    "twilio-key": lambda s: f"SK{s.of(HEX, 32)}",
    "sendgrid-key": lambda s: f"SG.{s.of(WORD, 22)}.{s.of(WORD, 43)}",
    "mailgun-key": lambda s: s.pick(f"key-{s.of(HEX, 32)}", f"{s.of(HEX, 32)}-{s.of(HEX, 8)}-{s.of(HEX, 8)}"),
    "mailchimp-key": lambda s: f"{s.of(HEX, 32)}-us{s.random.randint(1, 21)}",
    "brevo-key": lambda s: f"xkeysib-{s.of(HEX, 64)}-{s.of(ALNUM, 16)}",
    "sentry-token": lambda s: f"sntryu_{s.of(HEX, 64)}",
    "newrelic-key": lambda s: f"NRAK-{s.of(UPPER, 27)}",
    "grafana-token": lambda s: f"glsa_{s.of(ALNUM, 32)}_{s.of(HEX, 8)}",
    "dynatrace-token": lambda s: f"dt0c01.{s.of(UPPER, 24)}.{s.of(UPPER, 64)}",
    "notion-token": lambda s: s.pick(f"ntn_{s.of(string.digits, 11)}{s.of(ALNUM, 35)}", f"secret_{s.of(ALNUM, 43)}"),
    "linear-key": lambda s: f"lin_api_{s.of(ALNUM, 40)}",
    "airtable-token": lambda s: f"pat{s.of(ALNUM, 14)}.{s.of(HEX, 64)}",
    "hubspot-token": lambda s: f"pat-na1-{s.english.uuid4()}",
    "supabase-key": lambda s: f"sbp_{s.of(HEX, 40)}",
    "planetscale-token": lambda s: f"pscale_tkn_{s.of(WORD, 43)}",
}


def password(s):
    return s.english.password(length=s.random.randint(9, 18), special_chars=s.pick(True, False))


def plain_password(s):
    return s.english.password(length=s.random.randint(8, 16), special_chars=False)


def mark(kind, value):
    return chr(FIRST_MARK + ORDER.index(kind)) + value + END_MARK


# Values that only their context makes one: how the context is written, in every form of text.
TOLD = {
    "ssn-bare": lambda s: s.pick("SSN: {}", "social security number {}", "ssn={}", "SSN is {}").format(mark("ssn-bare", s.english.ssn(taxpayer_identification_number_type="SSN").replace("-", ""))),
    "phone-named": lambda s: s.pick("Tel. {}", "phone: {}", "mobile {}", "Telefon: {}", "teléfono {}", "Tel.-Nr.: {}", "Mobiltelefon: {}", "Télécopie : {}", "電話番号：{}", "手机号码：{}").format(mark("phone-named", national(s))),
    "passport": lambda s: s.pick("passport no. {}", "passport number: {}", "Reisepass-Nr. {}").format(mark("passport", s.pick(s.of(string.digits, 9), s.of(string.ascii_uppercase, 1) + s.of(string.digits, 9), f"C{s.of('0123456789CFGHJKLMNPRTVWXYZ', 8)}", f"{s.of(string.digits, 2)}{s.of(string.ascii_uppercase, 2)}{s.of(string.digits, 5)}"))),
    "aws-secret-key": lambda s: s.pick("aws_secret_access_key = {}", '"SecretAccessKey": "{}"', "AWS_SECRET_ACCESS_KEY={}").format(mark("aws-secret-key", KEYS["aws-secret-key"](s))),
    "azure-storage-key": lambda s: s.pick("DefaultEndpointsProtocol=https;AccountName=a1;AccountKey={};EndpointSuffix=core.windows.net", 'accountKey: "{}"').format(mark("azure-storage-key", KEYS["azure-storage-key"](s))),
    "authorization": lambda s: s.pick("Authorization: Bearer {}", '-H "Authorization: Basic {}"').format(mark("authorization", s.of(ALNUM, 32))),
    "url-password": lambda s: s.pick("postgres://app:{}@db.example:5432/main", "redis://:{}@cache:6379/0", "https://jane:{}@repo.example/x.git", "mongodb+srv://root:{}@c0.example/").format(mark("url-password", plain_password(s))),
    "connection-password": lambda s: s.pick("Server=db1;Database=x;User Id=sa;Password={};Encrypt=true", "host=db user=app password={} dbname=x", "jdbc:mysql://db:3306/x?user=root&password={}&ssl=true", "Data Source=.;User ID=sa;Persist Security Info=True;Password={}").format(mark("connection-password", plain_password(s))),
    "leading-password": lambda s: s.pick("Password={};Server=db1;User Id=sa", "password={} host=db user=app", "jdbc:mysql://db:3306/x?password={}&user=root").format(mark("leading-password", plain_password(s))),
    "argument-password": lambda s: s.pick("curl -u jane:{} https://api.example/v1", "mysqldump --password={} app", "kubeadm join --token {} 127.0.0.1:6443", "cli --api-key {} list").format(mark("argument-password", s.pick(plain_password(s), s.of(ALNUM, 32), s.of(HEX, 32)))),
    "named-secret": lambda s: s.pick('api_key = "{}"', '"password": "{}"', "clientSecret: '{}'", 'auth_token="{}"').format(mark("named-secret", s.pick(plain_password(s), s.of(ALNUM, 32), s.of(HEX, 40), s.of(ALNUM, s.random.randint(130, 700))))),
    "env-secret": lambda s: s.pick("DB_PASSWORD={}", "export API_KEY={}", "AUTH_TOKEN={}", "AWS_SESSION_TOKEN={}").format(mark("env-secret", s.pick(plain_password(s), s.of(HEX, 32), s.of(ALNUM, s.random.randint(130, 700))))),
    "line-secret": lambda s: s.pick("\npassword: {}\n", "\nspring.datasource.password={}\n", "\nx-api-key: {}\n", "\nAuthorization: {}\n", "\n- client_secret: {}\n").format(mark("line-secret", s.pick(f"{plain_password(s)}!{s.random.randint(1, 9)}", s.of(ALNUM, 32), s.of(HEX, 32)))),
}


def national(s):
    while True:
        number = s.fakers[s.pick("de_DE", "fr_FR", "en_GB", "it_IT", "nl_NL", "pl_PL", "sv_SE", "zh_CN", "ja_JP", "ko_KR", "pt_BR", "ru_RU")].phone_number()
        if number[0] in "0123456789(" and sum(c.isdigit() for c in number) >= 7:
            return number


ORDER = list(dict.fromkeys([*PEOPLE, *KEYS, *TOLD]))

# --------------------------------------------------------------------------------------------------------- look-alikes


def wrong_luhn(s):
    number = s.english.credit_card_number("visa16")
    return number[:-1] + str((int(number[-1]) + s.random.randint(1, 9)) % 10)


def wrong_iban(s):
    number = s.fakers["de_DE"].iban()
    return f"{number[:2]}{(int(number[2:4]) + s.random.randint(1, 90)) % 97:02}{number[4:]}"


LOOK_ALIKES = [
    lambda s: "order " + s.of(string.digits, s.random.randint(6, 12)),
    lambda s: f"order {s.of(string.digits, 3)}-{s.of(string.digits, 7)}-{s.of(string.digits, 7)}",
    lambda s: f"invoice {s.random.randint(2019, 2026)}-{s.of(string.digits, 6)}",
    lambda s: "ref " + s.of(string.digits, s.random.randint(9, 20)),
    lambda s: "PO-" + s.of(UPPER, 8),
    lambda s: s.english.uuid4(),
    lambda s: s.english.sha1(),
    lambda s: s.english.sha256(),
    lambda s: s.english.md5(),
    lambda s: "sha256:" + s.english.sha256(),
    lambda s: "v{}.{}.{}".format(*(s.random.randint(0, 40) for _ in range(3))),
    lambda s: s.pick("version {}.{}.{}.{}", '"version": "{}.{}.{}.{}"', "<Version>{}.{}.{}.{}</Version>", 'AssemblyVersion("{}.{}.{}.{}")').format(*(s.random.randint(0, 40) for _ in range(4))),
    lambda s: s.english.user_agent(),
    lambda s: s.english.iso8601(),
    lambda s: str(s.random.randint(1_500_000_000, 1_800_000_000)),
    lambda s: str(s.random.randint(1_500_000_000_000, 1_800_000_000_000)),
    lambda s: str(s.random.randint(1_500_000_000_000_000, 1_800_000_000_000_000)),
    lambda s: "1Z" + s.of(UPPER, 16),
    lambda s: "tracking " + s.of(string.digits, 12),
    lambda s: "tracking 94" + s.of(string.digits, 20),
    lambda s: "ISBN " + s.english.isbn13(),
    lambda s: "ISBN " + s.english.isbn10(),
    lambda s: s.english.ean13(),
    lambda s: "UPC " + s.english.upc_a(),
    lambda s: s.english.date() + " " + s.english.time(),
    lambda s: f"{s.random.uniform(-90, 90):.6f}, {s.random.uniform(-180, 180):.6f}",
    lambda s: repr(s.random.random()),
    lambda s: f"{s.random.randint(10**6, 10**9):,} rows",
    lambda s: s.english.hex_color(),
    lambda s: base64.b64encode(s.random.randbytes(s.random.randint(20, 90))).decode(),
    lambda s: s.of(string.ascii_lowercase, 5) + "@2x.png",
    lambda s: f"this@{s.of(string.ascii_uppercase, 1)}{s.of(string.ascii_lowercase, 6)}.{s.of(string.ascii_lowercase, 7)}",
    lambda s: "+" + s.random.choice(["2024", "2025", "2026"]) + f"-{s.random.randint(1, 12):02}-{s.random.randint(1, 28):02} released",
    lambda s: "\npassword = args.password\n",
    lambda s: s.pick("docker run -u 1000:1000 app", "date -u +%Y-%m-%dT%H:%M:%SZ", "git push -u origin main", "cli --password <password>"),
    lambda s: "\nsecret: app-db-" + s.of(string.digits, 1) + "\n",
    lambda s: "\nexistingSecret: redis-tls-" + s.of(string.digits, 1) + "\n",
    lambda s: f"git@github.com:{s.english.user_name()}/app.git",
    lambda s: f"npm i {s.of(string.ascii_lowercase, 6)}@{s.random.randint(1, 9)}.{s.random.randint(0, 30)}.0",
    lambda s: f"@{s.english.user_name()}",
    lambda s: "127.0.0.1:" + s.of("123456789", 4),
    lambda s: "0.0.0.0",
    lambda s: "1.3.6.1.4.1." + s.of("123456789", 4),
    lambda s: ":".join(s.of("0123456789ABCDEF", 2) for _ in range(20)),
    lambda s: f"{s.pick('000', '666', '9' + s.of('01234', 2))}-{s.of('01234', 1)}{s.of('123456789', 1)}-{s.of('123456789', 4)}" if s.random.random() < 0.5 else f"{s.of('12345', 3)}-00-{s.of('123456789', 4)}",
    wrong_luhn,
    wrong_iban,
    lambda s: f"part {s.of(string.digits, 2)}-{s.of(string.digits, 3)}-{s.of(string.digits, 4)}",
    lambda s: f"{s.random.uniform(4000, 6999):.4f} {s.random.uniform(4000, 6999):.4f}",
    lambda s: f"{s.random.randint(100, 899)}.{s.random.randint(10, 99)} {s.random.randint(1000, 9999)}",
    lambda s: f"id_{s.random.randint(10**8, 10**17)}",
    lambda s: f"{s.of(UPPER, 3)}{s.of('123456789', 3)}-{s.of('123456789', 2)}-{s.of('123456789', 4)}",
    lambda s: "std::fmt::Display for Vec<u8>",
    lambda s: "sk-learn-" + s.english.word() + "-estimator-pipeline",
    lambda s: 'password = os.environ["DB_PASSWORD"]',
    lambda s: 'api_key = "YOUR_API_KEY_HERE"',
    lambda s: "DB_PASSWORD=${DB_PASSWORD}",
    lambda s: '"password": "required|string|min:8"',
    lambda s: "Authorization: Bearer <token>",
    lambda s: "postgres://localhost:5432/app",
    lambda s: "chatcmpl-" + s.of(ALNUM, 29),
    lambda s: "req_" + s.of(ALNUM, 24),
    lambda s: "i-0" + s.of(HEX, 16),
    lambda s: "arn:aws:iam::" + s.of(string.digits, 12) + ":role/app",
    lambda s: s.english.vin(),
    lambda s: "IMEI 35" + s.of(string.digits, 13),
    lambda s: "+" + s.of("123456789", 1) + "0,000,000",
    lambda s: "-----BEGIN CERTIFICATE-----",
]

# --------------------------------------------------------------------------------------------------------------- forms

TELLING = {
    "card": ("card", "credit card number", "PAN", "Visa"),
    "iban": ("IBAN", "account"),
    "ssn": ("SSN", "social security number"),
    "itin": ("ITIN",),
    "email": ("e-mail", "mail", "contact"),
    "phone": ("phone", "call"),
    "phone-nanp": ("phone", "call me at"),
    "ipv4": ("client", "from"),
    "ipv6": ("client", "addr"),
    "mac": ("device", "mac"),
}


def needs_word(kind, value):
    """Twelve, thirteen or nineteen digits in a row are a card to nobody: as many have articles, parcels and identifiers."""
    digits = [character for character in value if character.isdigit()]
    return kind == "card" and (len(digits) < 14 or len(digits) == 19 == len(value) - 2)


def prose(s, fake, values, others):
    """Sentences of the locale with values in them, half of them announced."""
    bits = []
    for kind, value in values:
        names = TELLING.get(kind, ("key", "token", "secret"))
        announced = needs_word(kind, value) or s.random.random() < 0.5
        bits.append(f"{s.pick(*names)} {value}" if announced and kind not in TOLD else value)
    bits += others
    s.random.shuffle(bits)
    out = []
    for bit in bits:
        words = fake.sentence().rstrip(".。।").split(" ")
        words.insert(s.random.randint(0, len(words)), s.pick(bit, bit + ",", f"({bit})", bit))
        out.append(" ".join(words) + s.pick(".", "!", "?", "\n"))
    return " ".join(out)


def as_json(s, fake, values, others):
    record = {"id": s.english.uuid4(), "name": fake.name(), "note": fake.sentence()}
    for at, (kind, value) in enumerate(values):
        value = f"card {value}" if needs_word(kind, value) else value
        name = s.pick(*TELLING.get(kind, ("key", "value", "config"))).replace(" ", "_")
        record[f"{name}{at or ''}"] = value
    for at, other in enumerate(others):
        record[f"field{at}"] = other
    keys = list(record)
    s.random.shuffle(keys)
    record = {key: record[key] for key in keys}
    if s.random.random() < 0.3:
        record = {"data": [record], "total": s.random.randint(1, 10**6)}
    return json.dumps(record, ensure_ascii=False, indent=s.pick(None, 2))


def table(s, fake, values, others):
    separator = s.pick(" | ", ",", "\t", ";")
    rows = [separator.join(("name", "value", "other"))]
    cells = [f"Visa {value}" if needs_word(kind, value) else value for kind, value in values]
    for at in range(max(len(cells), len(others))):
        cell = cells[at] if at < len(cells) else "-"
        other = others[at] if at < len(others) else "-"
        rows.append(separator.join((fake.last_name(), cell, other)))
    return "\n".join(rows)


def code(s, fake, values, others):
    lines = ["import os", f"# {fake.sentence()}"]
    for at, (kind, value) in enumerate(values):
        if kind in TOLD or needs_word(kind, value):
            value = value if kind in TOLD else f"card = '{value}'"
            lines.append(s.pick("{}", "# {}", "    {}").format(value))
        else:
            lines.append(s.pick('x{} = "{}"', "const v{} = '{}';", "item{}: {}", 'print(f"{}", "{}")').format(at, value))
    for other in others:
        lines.append(s.pick("# {}", 'log.info("{}")', "assert y == {}", "    {}").format(other))
    s.random.shuffle(lines)
    return "\n".join(lines)


def log(s, fake, values, others):
    lines = []
    bits = [f"card={value}" if needs_word(kind, value) else value for kind, value in values] + others
    s.random.shuffle(bits)
    for bit in bits:
        head = s.pick(s.english.iso8601() + "Z INFO ", f"[{s.english.time()}] ", "WARN  worker-3 ")
        lines.append(head + s.pick("got {}", "value={}", "user {} ok", "{}").format(bit) + s.pick("", f" in {s.random.randint(1, 900)}ms"))
    return "\n".join(lines)


FORMS = {"prose": prose, "json": as_json, "table": table, "code": code, "log": log}


def kinds(s):
    """Endless kinds: people's in four of ten values, keys in four, told ones in two."""
    while True:
        group = s.random.random()
        told = [kind for kind in KEYS if kind not in TOLD]
        yield s.pick(*PEOPLE) if group < 0.4 else s.pick(*told) if group < 0.8 else s.pick(*TOLD)


def texts(seed, count):
    s = Source(seed)
    kind = kinds(s)
    for _ in range(count):
        locale, form = s.pick(*LOCALES), s.pick(*FORMS)
        values = []
        for _ in range(s.pick(0, 1, 1, 2, 2, 3)):
            name = next(kind)
            make = PEOPLE.get(name) or KEYS.get(name)
            values.append((name, TOLD[name](s) if name in TOLD else mark(name, make(s))))
        others = [s.pick(*LOOK_ALIKES)(s) for _ in range(s.random.randint(0, 4))]
        marked = FORMS[form](s, s.fakers[locale], values, others)
        yield {"locale": locale, "form": form, **unmarked(marked)}


def unmarked(marked):
    text, spans, opened = [], [], None
    for character in marked:
        if character == END_MARK:
            spans.append([opened[0], len(text), opened[1]])
        elif FIRST_MARK <= ord(character) < FIRST_MARK + len(ORDER):
            opened = (len(text), ORDER[ord(character) - FIRST_MARK])
        else:
            text.append(character)
    return {"text": "".join(text), "spans": spans}


if __name__ == "__main__":
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--seed", type=int, required=True)
    arguments.add_argument("--count", type=int, required=True)
    given = arguments.parse_args()
    for text in texts(given.seed, given.count):
        json.dump(text, sys.stdout, ensure_ascii=False)
        print()
