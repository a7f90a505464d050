"""The facts of Harbor Bank: each one value, several names for its subject, asked in templates of its type."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fact:
    """`key` names it; `type` picks the templates; `subjects` are noun phrases for the same thing; `value` is the answer."""

    key: str
    type: str
    subjects: tuple[str, ...]
    value: str


def _facts(type_: str, table: str) -> list[Fact]:
    rows = (line.split("|") for line in table.strip().splitlines())
    return [Fact(k.strip(), type_, tuple(s.strip() for s in subjects.split(";")), v.strip()) for k, v, subjects in rows]


FEES = """
account-fee|4 euros a month|the current account; keeping a current account; a normal account; running a current account
premium-fee|12 euros a month|the premium account; keeping a premium account; a premium account; the account with extras
joint-fee|5 euros a month|a joint account; sharing an account; an account for two people; the joint account
wire-fee|15 euros|an international transfer; sending money abroad; a transfer to another country; wiring money overseas
instant-fee|1 euro|an instant transfer; sending money instantly; a transfer that arrives at once; an immediate payment
replacement-fee|10 euros|a replacement card; replacing my card; a new card after losing the old one; another card
express-card-fee|25 euros|express delivery of a card; getting my card by express; a card sent by courier; fast card delivery
spare-card-fee|8 euros|a second card; a spare card; an extra card for my account; an additional card
virtual-card-fee|2 euros a month|a virtual card; an online-only card; a digital card; using a virtual card
foreign-atm-fee|6 euros|taking out cash abroad; a cash machine in another country; withdrawing money on holiday; a foreign cash withdrawal
other-atm-fee|3 euros|using another bank's cash machine; a withdrawal at another bank; cash from a different bank's machine; a rival bank's cash machine
exchange-fee|2 percent|changing currency; a currency exchange; paying in a foreign currency; converting money to another currency
overdraft-rate|9 percent a year|an overdraft; going below zero; being overdrawn; an overdrawn account
late-fee|13 euros|a late card payment; paying my card bill late; missing the card due date; a card bill after the due date
returned-fee|7 euros|a returned direct debit; a direct debit that bounces; a failed direct debit; a bounced direct debit
paper-fee|3 euros a month|paper statements; statements by post; getting statements on paper; posted statements
old-statement-fee|11 euros|a copy of an old statement; an old statement; a statement from years ago; an archived statement
cheque-fee|9 euros|paying in a cheque; depositing a cheque; a cheque deposit; cashing a cheque
counter-fee|1 percent|paying in cash at the counter; a cash deposit at the desk; handing in cash at a branch; depositing notes at the counter
safe-box-fee|80 euros a year|a safe deposit box; renting a safe box; a box in the vault; keeping valuables in the vault
mortgage-fee|300 euros|a mortgage application; applying for a mortgage; asking for a home loan; a home loan application
repay-fee|14 euros|repaying a loan early; early repayment; paying off my loan ahead of time; closing a loan early
stop-fee|16 euros|stopping a payment; a stopped payment; cancelling a payment I already sent; recalling a payment
topup-card-fee|5 percent|topping up by card; a card top-up; adding money with a card; loading the account by card
"""
LIMITS = """
atm-limit|500 euros a day|cash withdrawals; taking out cash; cash machine withdrawals; getting notes from a machine
card-limit|2,000 euros a day|card payments; paying by card; purchases with my card; shopping with the card
contactless-limit|50 euros|contactless payments; tapping my card; paying without a PIN; tap and pay
transfer-limit|10,000 euros a day|online transfers; sending money online; transfers in the app; moving money online
instant-limit|4,000 euros|instant transfers; immediate payments; instant payments; sending money at once
cash-limit|3,000 euros a day|cash deposits; paying in cash; depositing cash; putting notes into my account
cheque-limit|1,200 euros|cheques by photo; mobile cheques; a cheque sent as a picture; cheques paid in by phone
youth-limit|100 euros a week|a youth card; my child's card; a card for children; the youth card
overdraft-limit|1,500 euros|the overdraft; being overdrawn; going below zero; my overdraft
loan-limit|40,000 euros|a personal loan; borrowing without security; personal loans; an unsecured loan
topup-limit|900 euros a day|top-ups; topping up; adding money; loading my account
virtual-limit|700 euros a month|the virtual card; a disposable card; one-time cards; digital cards
"""
TIMES = """
card-time|5 working days|a new card; delivery of my card; my card to arrive; card delivery
transfer-time|1 working day|a normal transfer; a transfer inside the country; a domestic transfer; a standard transfer
wire-time|3 working days|an international transfer; money sent abroad; a transfer to another country; an overseas payment
open-time|20 minutes|opening an account; setting up an account; becoming a customer; a new account
loan-time|2 working days|a loan decision; an answer on a loan; hearing back about a loan; the loan reply
mortgage-time|12 working days|a mortgage decision; an answer on a mortgage; hearing back about a home loan; the mortgage reply
refund-time|7 working days|a refund; money back from a shop; my refund; a returned purchase
dispute-time|30 days|a disputed payment; a payment complaint; investigating a payment; a payment I do not recognise
cheque-time|4 working days|a cheque to clear; clearing a cheque; a deposited cheque; cheque money
pin-time|6 working days|a PIN letter; my PIN by post; a posted PIN; receiving the PIN
close-time|14 days|closing an account; shutting my account; leaving the bank; ending my account
identity-time|8 hours|the identity check; verifying my identity; proving who I am; checking my documents
topup-time|10 minutes|a top-up; adding money; a top-up to show; topping up
pending-time|24 hours|a pending payment; a pending card payment; a payment that still waits; a payment marked pending
"""
PLACES = """
freeze-where|in the app under Cards|freeze my card; block a lost card; lock my card; stop a stolen card
pin-where|at any Harbor cash machine|change my PIN; pick a new PIN; set another PIN; unblock my PIN
address-where|in the app under Profile|change my address; update my details; edit my personal data; change my phone number
dispute-where|in the app under Payments|dispute a payment; report a wrong charge; report a payment I do not recognise; question a charge
activate-where|in the app under New Card|activate my card; start using a new card; switch on my card; turn on my card
order-where|in the app under Order|order a card; get a physical card; ask for a card; request a card
close-where|at a branch with your passport|close my account; end my account; terminate my account; leave the bank
limit-where|in the app under Limits|raise my limit; change my card limit; alter my limits; get a higher limit
verify-where|in the app under Identity|verify my identity; send my documents; prove who I am; upload my passport
passcode-where|on the sign-in page under Forgotten|reset my passcode; recover my password; get back into the app; change a forgotten passcode
statement-where|in the app under Documents|see my statements; download a statement; find old statements; get a bank statement
wallet-where|in the app under Wallet|add my card to my phone; set up phone payments; connect my card to a wallet; link my card
cancel-where|in the app under Transfers|cancel a transfer; take back a transfer; undo a transfer; stop a transfer
exchange-where|in the app under Currency|exchange money; swap currencies; change money into dollars; convert euros
"""
OTHERS = """
phone|0800 555 100|the phone number for lost cards; the emergency number; the number to call about a stolen card; the card helpline
hours|9 to 5 on weekdays|the branch opening hours; the opening times; the hours of the branch; the times when branches are open
service-hours|8 to 8 every day|the hours of customer service; the helpline hours; the times when customer service answers; the support hours
head-office|12 Quay Street|the head office address; the address of the bank; the location of the head office; the main office address
savings-rate|2.5 percent a year|the savings rate; the interest on savings; the rate on a savings account; the savings interest
loan-rate|6.5 percent a year|the personal loan rate; the interest on a loan; the rate on a personal loan; the loan interest
mortgage-rate|4.2 percent a year|the mortgage rate; the interest on a mortgage; the home loan rate; the mortgage interest
min-age|18 years|the minimum age for an account; the age limit; the age to open an account; the youngest age for an account
youth-age|12 years|the minimum age for a youth account; the youth account age; the age for a youth card; the age when a child can have a card
open-documents|a passport and a proof of address|the papers for opening an account; the documents to become a customer; the papers for a new account; the documents for an account
loan-documents|three payslips|the papers for a loan; the documents for a loan; the proof needed for a loan; the paperwork for a loan
countries|32 countries|the number of countries you serve; the list of supported countries; the reach of your service; the countries where you work
currencies|euros, dollars and pounds|the currencies you support; the supported currencies; the currencies I can hold; the money you accept
card-brand|Visa|the brand of your cards; the card network; the type of card you issue; the kind of card you give
"""

FACTS: tuple[Fact, ...] = tuple(
    _facts("fee", FEES) + _facts("limit", LIMITS) + _facts("time", TIMES) + _facts("where", PLACES) + _facts("other", OTHERS)
)

# Wordings that teach; {s} is the subject.
TEACH = {
    "fee": (
        "How expensive would {s} be?", "Will I be billed for {s}?", "What do customers owe for {s}?", "How much money goes for {s}?", "What does the bank take for {s}?", "Is {s} free?", "What is the bill for {s}?", "How much does one spend on {s}?", "Do I lose money with {s}?", "What price do you put on {s}?",
        "What does {s} cost?", "How much is {s}?", "Is there a fee for {s}?", "what is the charge for {s}",
        "Do you charge for {s}?", "Tell me the price of {s}.", "How much do I pay for {s}?", "Hi, what would {s} cost me?",
        "I would like to know the fee for {s}.", "Fee for {s}?", "Could you tell me what {s} costs?", "Does {s} cost anything?",
    ),
    "limit": (
        "Is there a ceiling on {s}?", "What is the cap on {s}?", "Up to how much do {s} go?", "How far can I go with {s}?", "Which amount is the highest for {s}?", "What amount do {s} end at?", "Can I use any amount for {s}?", "How much at most for {s}?",
        "What is the limit for {s}?", "How much is allowed for {s}?", "Is there a limit on {s}?", "what is the maximum for {s}",
        "Tell me the limit on {s}.", "How high is the limit for {s}?", "Hi, is there a maximum on {s}?", "Limit for {s}?",
        "I would like to know the limit for {s}.", "Could you tell me the maximum for {s}?", "What is the most allowed for {s}?",
    ),
    "time": (
        "How fast is {s}?", "What is the delay with {s}?", "By what day is {s} ready?", "What duration does {s} have?", "Is {s} through by tomorrow?", "How much patience do I need for {s}?", "I am in a rush, how long for {s}?", "When is {s} over?",
        "How long does {s} take?", "When can I expect {s}?", "How many days for {s}?", "how long is the wait for {s}",
        "Tell me how long {s} takes.", "Hi, how long do I wait for {s}?", "What is the usual time for {s}?", "Time for {s}?",
        "I would like to know how long {s} takes.", "Could you tell me how long {s} takes?", "How soon is {s} done?",
    ),
    "where": (
        "What steps are there to {s}?", "What should a customer do to {s}?", "Is it possible for me to {s}?", "In what place can people {s}?", "My father wants to {s}, how?", "I have to {s} today, where?", "Which page lets me {s}?", "Where do customers {s}?",
        "How do I {s}?", "Where can I {s}?", "I want to {s}.", "how can i {s}", "Tell me how to {s}.", "Can I {s}?",
        "Hi, I need to {s}.", "What is the way to {s}?", "I would like to {s}.", "Could you tell me how to {s}?", "Help me to {s}.",
    ),
    "other": (
        "Remind me of {s}.", "Somebody asked me about {s}.", "A question about {s}, please.", "Where is {s} written, can you say?", "I never remember {s}.", "What should I tell my friend about {s}?", "Let me know {s}.", "Say {s}, please.",
        "What is {s}?", "Tell me {s}.", "what are {s}", "Can you give me {s}?", "I need {s}.", "Hi, what is {s}?",
        "I would like to know {s}.", "Could you tell me {s}?", "Please tell me {s}.", "Do you know {s}?", "{s}?",
    ),
}  # fmt: skip
# What stands before and after a question; said with everything that teaches.
BEFORE = (
    "",
    "",
    "",
    "",
    "Hi, ",
    "Hello. ",
    "Good morning. ",
    "Quick question: ",
    "Sorry to ask: ",
    "My husband asks: ",
    "One more thing. ",
    "Please: ",
    "I wonder: ",
    "Hey there, ",
)
AFTER = ("", "", "", "", "", " Thanks.", " Thank you.", " Please.", " I need to know today.", " It is for my mother.", " Be short.")
# Wordings that only test: never in any training text.
TEST = {
    "fee": ("What will you bill me for {s}?", "Before I decide, how expensive is {s}?", "Any idea what I owe for {s}?", "My wife asks what {s} sets us back."),
    "limit": ("Up to what amount are {s} possible?", "What ceiling do you put on {s}?", "Where does the cap lie for {s}?", "My son asks how far he can go with {s}."),
    "time": ("By when should {s} be through?", "I am in a hurry, what is the delay for {s}?", "How patient must I be with {s}?", "Roughly what is the duration of {s}?"),
    "where": ("Which steps do I follow to {s}?", "My mother wants to {s}, what should she do?", "Is it possible to {s} today?", "In which place do customers {s}?"),
    "other": ("I forgot {s}, remind me.", "My friend asked me about {s}, what do I say?", "Quick question about {s}.", "Where do I read {s}, or can you just say?"),
}  # fmt: skip
ANSWERS = {
    "fee": ("{S} costs {v}.", "The fee for {s} is {v}.", "We charge {v} for {s}."),
    "limit": ("The limit for {s} is {v}.", "You can go up to {v} for {s}.", "For {s} the maximum is {v}."),
    "time": ("{S} takes {v}.", "Please allow {v} for {s}.", "It takes {v}."),
    "where": ("You can {s} {v}.", "Please do it {v}.", "To {s}, do it {v}."),
    "other": ("{S}: {v}.", "That is {v}.", "It is {v}."),
}
# The 77 intents of banking77 -> the fact that answers them.
INTENTS = dict(
    pair.split(":")
    for pair in [
        "card_arrival:card-time",
        "card_linking:wallet-where",
        "exchange_rate:exchange-fee",
        "card_payment_wrong_exchange_rate:exchange-fee",
        "extra_charge_on_statement:dispute-where",
        "pending_cash_withdrawal:pending-time",
        "fiat_currency_support:currencies",
        "card_delivery_estimate:card-time",
        "automatic_top_up:topup-limit",
        "card_not_working:phone",
        "exchange_via_app:exchange-where",
        "lost_or_stolen_card:freeze-where",
        "age_limit:min-age",
        "pin_blocked:pin-where",
        "contactless_not_working:phone",
        "top_up_by_bank_transfer_charge:topup-card-fee",
        "pending_top_up:topup-time",
        "cancel_transfer:cancel-where",
        "top_up_limits:topup-limit",
        "wrong_amount_of_cash_received:dispute-where",
        "card_payment_fee_charged:exchange-fee",
        "transfer_not_received_by_recipient:transfer-time",
        "supported_cards_and_currencies:currencies",
        "getting_virtual_card:virtual-card-fee",
        "card_acceptance:card-brand",
        "top_up_reverted:phone",
        "balance_not_updated_after_cheque_or_cash_deposit:cheque-time",
        "card_payment_not_recognised:dispute-where",
        "edit_personal_details:address-where",
        "why_verify_identity:verify-where",
        "unable_to_verify_identity:verify-where",
        "get_physical_card:order-where",
        "visa_or_mastercard:card-brand",
        "topping_up_by_card:topup-card-fee",
        "disposable_card_limits:virtual-limit",
        "compromised_card:freeze-where",
        "atm_support:other-atm-fee",
        "direct_debit_payment_not_recognised:dispute-where",
        "passcode_forgotten:passcode-where",
        "declined_cash_withdrawal:atm-limit",
        "pending_card_payment:pending-time",
        "lost_or_stolen_phone:phone",
        "request_refund:refund-time",
        "declined_transfer:transfer-limit",
        "Refund_not_showing_up:refund-time",
        "declined_card_payment:card-limit",
        "pending_transfer:transfer-time",
        "terminate_account:close-where",
        "card_swallowed:phone",
        "transaction_charged_twice:dispute-where",
        "verify_source_of_funds:verify-where",
        "transfer_timing:transfer-time",
        "reverted_card_payment?:refund-time",
        "change_pin:pin-where",
        "beneficiary_not_allowed:transfer-limit",
        "transfer_fee_charged:wire-fee",
        "receiving_money:transfer-time",
        "failed_transfer:transfer-limit",
        "transfer_into_account:transfer-time",
        "verify_top_up:topup-time",
        "getting_spare_card:spare-card-fee",
        "top_up_by_cash_or_cheque:cash-limit",
        "order_physical_card:order-where",
        "virtual_card_not_working:phone",
        "wrong_exchange_rate_for_cash_withdrawal:exchange-fee",
        "get_disposable_virtual_card:virtual-card-fee",
        "top_up_failed:phone",
        "balance_not_updated_after_bank_transfer:transfer-time",
        "cash_withdrawal_not_recognised:dispute-where",
        "exchange_charge:exchange-fee",
        "top_up_by_card_charge:topup-card-fee",
        "activate_my_card:activate-where",
        "cash_withdrawal_charge:other-atm-fee",
        "card_about_to_expire:order-where",
        "apple_pay_or_google_pay:wallet-where",
        "verify_my_identity:verify-where",
        "country_support:countries",
    ]
)
BY_KEY = {f.key: f for f in FACTS}
assert len(BY_KEY) == len(FACTS)
assert set(INTENTS.values()) <= set(BY_KEY)
