"""Still more wordings that teach: what stands round a question, and other ways to put it. None shares half of its words with one that tests."""

from __future__ import annotations

OPENERS = (
    "Listen: ", "Between you and me, ", "For my diary: ", "Just curious: ", "No joke: ", "Picture this: ", "Honest question: ", "Third try: ", "Now that it rains, ", "Since you are there: ", "As an old customer: ", "Hm, ", "Ok then, ", "Right, ",
    "You there, ", "Dear machine, ", "My friend, ", "Here goes: ", "First of all, ", "Before lunch: ", "For the weekend: ", "My sister dared me: ", "They told me to ask: ", "It came to my mind: ", "Today's question: ", "Let me ask plainly: ", "Hello again, ",
    "Sir, ", "Madam, ", "Team, ", "Help desk, ", "Computer, ", "Chat, ", "Good day. ", "Greetings. ", "I sit in a cafe. ", "The line was busy, so here: ", "I wrote last week. ", "I have two questions. First: ", "Second question: ", "And then: ", "Next: ", "Also: ", "Finally: ", "It is late, but: ",
    "I am not good at typing. ", "My English is poor. ", "I have no patience left. ", "You helped me before. ", "I am in your branch now. ", "I am calling from abroad. ", "For school: ", "For my boss: ", "For my blog: ", "On behalf of my club: ", "In the name of my father: ", "We two wonder: ", "All of us ask: ", "Be honest: ", "In all calm: ",
)  # fmt: skip
TAILS = (
    " Any idea?", " What do you say?", " Yes?", " Quickly!", " In short.", " Step by step.", " If you know.", " I am serious.", " It cannot wait.", " In your words.", " I have ten minutes.", " My phone dies soon.", " No long text.", " I shall wait.", " Bye.", " Greetings, Ann.", " See you.", " You are great.",
    " I hope you know.", " I asked twice already.", " The other clerk did not know.", " Tell me soon.", " I will write it down.", " My wife reads along.", " It is for a friend.", " Sorry for my bad typing.", " I trust you.", " Nobody else could say.", " Thanks a million.", " And be precise.", " Say it simply.", " One line is enough.", " That is my question.", " Over to you.",
)  # fmt: skip
# {v}: a verb phrase
DOING = (
    "How can one {v}?", "How would somebody {v}?", "What is needed to {v}?", "What does it take to {v}?", "Which way is there to {v}?", "I intend to {v}.", "I mean to {v}.", "I hope to {v}.", "My goal is to {v}.", "The task is to {v}.", "I am supposed to {v}.", "I was asked to {v}.", "I am trying to {v}.", "It is my dream to {v}.", "Can one {v}?",
    "Could I {v}?", "Would you help me {v}?", "Would you show me how to {v}?", "Be so kind and explain how to {v}.", "Give me a hand, I {v}.", "List what I need to {v}.", "Describe how people {v}.", "Write down how to {v}.", "What comes last when I {v}?", "What should I avoid when I {v}?", "Who can help me to {v}?", "When is a good time to {v}?", "What do others do to {v}?",
    "Soon I must {v}.", "For years I wanted to {v}.", "We plan to {v}, my wife and I.", "He asked me to {v}.", "She wants me to {v}, what now?", "They all {v}, how about me?", "To {v}: which papers, which place?", "What would you do to {v}?", "I never managed to {v}.", "Nothing worked so far, I still have to {v}.", "I promised my boss to {v}.", "Our club will {v}, what do we need?",
    "Let me {v}.", "Time to {v}!", "I said I would {v}.", "Have you seen people {v}?", "Will it be hard to {v}?", "How long would I need to {v}?", "Is now the moment to {v}?", "I could {v}, but how?", "{v}, that is what I want.", "The plan for today: {v}.", "Please make it easy for me to {v}.", "You know well how to {v}, don't you?", "Prepare me to {v}.", "Brief me on how to {v}.", "Outline how I {v}.",
)  # fmt: skip
FACTS: dict[str, tuple[str, ...]] = {
    "fee": (
        "How heavy is the charge on {s}?", "Is {s} without charge?", "What goes off my account for {s}?", "What would {s} take from my balance?", "Name the price of {s}.", "Is there money to pay for {s}?", "The tariff for {s}?", "How pricey is {s}?", "What must I spend on {s}?", "Would {s} be dear?", "What do others pay for {s}?", "Your charge for {s}, in euros?",
        "I heard {s} is not cheap, what is it?", "What does Harbor ask for {s}?", "How many euros leave my account for {s}?", "Shall I pay something for {s}?", "What is due when I choose {s}?", "What is on the bill after {s}?", "Each time I use {s}, what do you take?", "Cost of {s}, please.",
    ),
    "limit": (
        "What is the biggest amount for {s}?", "From which sum on is {s} refused?", "How much can I do with {s} in one go?", "Is {s} capped?", "How high may {s} be?", "The upper bound of {s}?", "Tell me how much is too much for {s}.", "When is {s} too big?", "Which maximum holds for {s}?", "What are the bounds of {s}?", "How many euros may {s} have?", "Can {s} be without limit?",
        "What is the most I get through with {s}?", "My maximum for {s}, please.", "Does Harbor cut off {s} at some sum?", "What sum may I not exceed with {s}?", "How much room do I have for {s}?", "Until what number is {s} fine?", "Will a large sum work for {s}?", "Largest amount for {s}?",
    ),
    "time": (
        "On which day will {s} be there?", "How many days pass until {s} is done?", "What time span does {s} have?", "Must I wait long for {s}?", "How quickly is {s} handled?", "Until when do I wait for {s}?", "Days for {s}?", "How late will {s} be?", "Is {s} a matter of minutes or days?", "When may I count on {s}?", "How much time passes with {s}?", "How long does Harbor take over {s}?",
        "I ordered it, so when comes {s}?", "Will {s} be finished this week?", "What is a normal wait for {s}?", "From now on, how long for {s}?", "When is the end of {s}?", "How slow can {s} be?", "Tell me the length of {s}.",
    ),
    "where": tuple(t.replace("{v}", "{s}") for t in DOING),
    "other": (
        "Which one is {s}?", "Tell us {s} once more.", "Please write {s} here.", "I did not note {s}.", "What do you have as {s}?", "Is {s} known to you?", "My form asks for {s}.", "The form wants {s}.", "Let us talk of {s}.", "I want {s} in one line.", "What would be right for {s}?", "Give me news on {s}.", "State {s}.",
        "I searched for {s} all day.", "Which is true for {s}?", "Could I get {s} from you?", "Your answer on {s}?", "On your page I did not see {s}.", "What does Harbor say on {s}?", "Looking for {s} here.",
    ),
}  # fmt: skip
OFF = (
    "What comes to your mind on {x}?", "A word about {x}!", "I love {x}.", "All about {x}, please.", "Are you good at {x}?", "Give a short talk on {x}.", "Is {x} known to you?", "I would rather hear of {x} now.", "What should I know of {x}?", "Why do people like {x}?", "Teach us {x}.", "Let me hear of {x}.", "Anything new on {x}?", "Is there something on {x}?",
    "My class does {x}.", "We argue about {x}.", "I dreamt of {x}.", "Nothing on banks, only {x}.", "Could we chat on {x}?", "{x}, that is my question.", "What is so special in {x}?", "Your favourite in {x}?", "Write on {x}.", "List facts on {x}.", "Some help on {x}?", "I need ideas on {x}.", "My aunt loves {x}, and you?", "In a few lines: {x}.",
)  # fmt: skip
UNKNOWN = (
    "Work out {x}.", "State {x}.", "I rely on you to say {x}.", "Look up {x}.", "How sure are you on {x}?", "Answer only this: {x}?", "Guess {x}.", "Reveal {x}.", "You have all the data, so {x}?", "My partner would love to know {x}.", "Have you heard {x}?", "Is it known {x}?", "Everybody asks {x}.", "I keep asking myself {x}.", "Let us find out {x}.", "Your forecast: {x}?",
    "Your data must show {x}.", "Write me {x}.", "In one number: {x}?", "One fact, please: {x}.", "My boss asked {x}.", "I pay you to tell me {x}.", "Do not hide {x}.", "Check {x}.", "Would you tell me {x}?", "What is known on {x}?",
)  # fmt: skip
STAKES = (
    "Had I better {x}?", "Would it be clever to {x}?", "My gut says {x}, do you agree?", "Say it plainly: should I {x}?", "Is this the day to {x}?", "What speaks against it if I {x}?", "Do people like me {x}?", "As my adviser, would you have me {x}?", "I am torn: {x} or not?", "Is it a mistake to {x}?", "Tell me to {x} or not to.", "May I safely {x}?", "My son wants me to {x}, is that good?",
    "I have three children, should I {x}?", "With my pension, can I {x}?", "I earn little, do I {x}?", "I retire soon, so should I {x}?", "Which is better for me, to {x} or to wait?", "Recommend: {x}?", "Would I regret it if I {x}?", "Choose for me, {x} or leave it.", "Please rule on this: should I {x}?", "Do you want me to {x}?", "How wise is it if I {x}?",
)  # fmt: skip
STAKES_NEAR = (
    "What stands behind the word {x}?", "Put {x} into easy words.", "A short note on what {x} is.", "My girl wants to know what {x} is.", "How should I understand {x}?", "Is {x} easy to explain?", "I came across {x}, and it means?", "In a line: {x}?", "What do bankers mean when they say {x}?", "{x}: what is meant?", "Can one say what {x} is?", "Word of the day: {x}.", "Tell me the sense of {x}.", "What sort of thing is {x}?", "I mix it up, what was {x}?",
)  # fmt: skip
