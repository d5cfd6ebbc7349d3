"""What a username, a password and an e-mail address may be, and why.

Usernames appear as authors in the repository's history, which is for ever and is read by git,
forges and people: plain ASCII (no look-alike letters), no form that git would trim.
"""

import re
from typing import Final

import email_validator
from email_validator import EmailNotValidError, validate_email

from api.errors import InvalidRequest

MIN_USERNAME: Final = 3
MAX_USERNAME: Final = 32
MIN_PASSWORD: Final = 10  # characters; NIST SP 800-63B-4 asks for length, not for kinds of letters
MAX_PASSWORD_BYTES: Final = 1024  # bounds what is hashed; counted in UTF-8, as argon2 sees it
MIN_DISTINCT: Final = 5

_USERNAME: Final = re.compile(r"[A-Za-z](?:[A-Za-z0-9]|[._-](?![._-]))*")
#: Names that would pass for the platform or its operators in the history and in messages.
_RESERVED_NAMES: Final = """
    abuse admin administrator anonymous fastapi-platform flux git moderator no-reply noreply
    null operator platform postmaster root security staff superuser support system webmaster
"""
RESERVED: Final = frozenset(_RESERVED_NAMES.split())
#: The most common passwords of ten characters and more, from public lists of leaked passwords.
_COMMON_PASSWORDS: Final = """
    0123456789 0987654321 1029384756 1122334455 1234512345 1234567890 12345678910 1234567891
    123456789a 123456789q 123456789z 1234567899 1q2w3e4r5t 1q2w3e4r5t6y 1qaz2wsx3e 1qaz2wsx3edc
    3rjs1la7qe 9876543210 a123456789 aa123456789 abc1234567 abcd123456 abcd1234567 abcdefghij
    administrator adminadmin asdfghjkl1 asdfghjkl; asdfghjkl123 basketball changeme12 changeme123
    charlie123 chocolate1 computer12 correcthorsebatterystaple football12 football123 hello12345
    helloworld iloveyou12 iloveyou123 jennifer12 letmein123 letmeinnow liverpool1 loveme1234
    manchester mypassword mypassword1 p@ssw0rd12 p@ssw0rd123 pa55word12 passw0rd12 passw0rd123
    password01 password10 password11 password12 password123 password1234 password12345 password!!
    passwordpassword princess12 princess123 q1w2e3r4t5 q1w2e3r4t5y6 qazwsxedc1 qazwsxedcrfv
    qwerty1234 qwerty12345 qwerty123456 qwertyuiop qwertyuiop1 qwertyuiop123 samsung123 secret1234
    sunshine12 superman12 superman123 test123456 testtest12 testtest123 unbelievable welcome123
    welcome1234 whatever12 yourpassword zaq12wsxcde zxcvbnm123
"""
_COMMON: Final = frozenset(_COMMON_PASSWORDS.split())

# Mail is never sent; the address only tells administrators whom to ask. Intranets of schools use
# names such as `.local` and `.test`, so reserved domains are accepted (the documented switch).
email_validator.SPECIAL_USE_DOMAIN_NAMES.clear()


def username_key(username: str) -> str:
    """The form in which usernames are compared: `Ada` and `ada` are the same person."""
    return username.lower()


def email_key(email: str) -> str:
    """The form in which e-mail addresses are compared."""
    return email.casefold()


def check_username(username: str, *, allow_reserved: bool = False) -> str:
    """The username; raise InvalidRequest with the rule that it breaks."""
    if not MIN_USERNAME <= len(username) <= MAX_USERNAME:
        raise _invalid("username", f"A username has {MIN_USERNAME} to {MAX_USERNAME} characters.")
    if not _USERNAME.fullmatch(username) or not username[-1].isalnum():
        raise _invalid(
            "username",
            "A username has plain letters and digits, with single `.`, `_` or `-` between them, and"
            " starts with a letter: it stands in the repository's history.",
        )
    if not allow_reserved and username_key(username) in RESERVED:
        raise _invalid("username", "This username is reserved: it would pass for the platform.")
    return username


def check_email(email: str) -> str:
    """The address in its normal form; raise InvalidRequest. Nothing is sent and no DNS is asked."""
    try:
        return validate_email(email, check_deliverability=False).normalized
    except EmailNotValidError as error:
        raise _invalid("email", f"This e-mail address cannot be used: {error}") from None


def check_password(password: str, *, username: str, email: str) -> str:
    """The password; raise InvalidRequest with the rule that it breaks."""
    lowered = password.casefold()
    if len(password) < MIN_PASSWORD:
        raise _invalid("password", f"A password has at least {MIN_PASSWORD} characters.")
    if not is_hashable(password):
        raise _invalid(
            "password", f"A password has at most {MAX_PASSWORD_BYTES} bytes, written in UTF-8."
        )
    if lowered in {username.casefold(), email.casefold(), email.partition("@")[0].casefold()}:
        raise _invalid("password", "The password may not be the username or the e-mail address.")
    if lowered in _COMMON or len(set(lowered)) < MIN_DISTINCT:
        raise _invalid(
            "password",
            "This password is among the first that an attacker tries.",
            hint="Four unrelated words are easy to remember and hard to guess.",
        )
    return password


def is_hashable(password: str) -> bool:
    """Whether the password is Unicode text of at most MAX_PASSWORD_BYTES."""
    try:
        return len(password.encode()) <= MAX_PASSWORD_BYTES
    except UnicodeEncodeError:  # a lone surrogate
        return False


def _invalid(field: str, message: str, *, hint: str | None = None) -> InvalidRequest:
    return InvalidRequest(
        message,
        hint=hint,
        code=f"invalid_{field}",
        details={"fields": [{"field": field, "message": message}]},
    )
