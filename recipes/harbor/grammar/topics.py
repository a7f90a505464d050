"""Off topic, unknowable, and for a person to decide: frames with slots, and plain definitions of words."""

from __future__ import annotations

OFF = (
    "the {kindof} of {noun}", "how to {craft} {noun}", "how to {craft} {noun} at home", "a {text} about {noun}", "a {text} for {occasion}", "{noun}", "the best {noun}", "{noun} and {noun}", "why {noun} are so {adj}", "what {noun} eat", "where {noun} come from",
    "a {adj} {dish}", "a {dish} with {food}", "how to cook {food}", "the weather in {city}", "a holiday in {city}", "the food in {city}", "{city}", "the history of {city}", "flights to {city}", "the {sport} results", "how to get better at {sport}", "the rules of {sport}", "my {sport} team",
    "the life of {famous}", "the work of {famous}", "a film with {noun}", "my {school} homework", "an exam in {school}", "the meaning of {noun}", "how {noun} work", "who invented {noun}", "a present for {occasion}", "music for {occasion}", "the health of my {pet}", "a name for a {pet}", "how to teach my {pet} tricks",
    "pain in my {body}", "how to relax my {body}", "the news of today", "the time in {city}", "politics in {city}", "a computer that is {adj}", "repairs of {noun}",
)  # fmt: skip
OFF_SLOTS: dict[str, str] = {
    "kindof": "history | beauty | colour | shape | sound | taste | science | story | secret | price history | smell | future | art | size | weight | origin | names",
    "noun": "whales | volcanoes | roses | trains | stars | guitars | castles | robots | mushrooms | bridges | dinosaurs | clouds | violins | pyramids | comets | bees | cheese | wine | tea | shoes | clocks | kites | mountains | rivers | deserts | pirates | knights | planes | rockets | penguins | wolves | owls | lemons | tomatoes | forests | islands | pottery | candles | magnets | mirrors | windmills | lighthouses | glaciers | coral | butterflies | spiders | horses | elephants | tulips | snow | rainbows | lamps | tents | hats | video games | cartoons | novels | operas | puppets | statues | sailing boats",
    "craft": "paint | draw | build | clean | grow | repair | photograph | collect | make | plant | carve | sew | pick | store | feed",
    "text": "poem | song | story | joke | riddle | speech | toast | rhyme | play | fairy tale | limerick | haiku",
    "occasion": "a birthday | a wedding | New Year | a picnic | a rainy Sunday | a garden party | my anniversary | a school fair | a long drive | a farewell | Easter | a baby shower",
    "adj": "old | blue | tall | tasty | strange | loud | rare | slow | famous | small | sweet | spicy | broken | quick | easy | cheap",
    "dish": "soup | salad | cake | stew | pie | curry | sandwich | dessert | breakfast | sauce | bread | pizza",
    "food": "potatoes | rice | apples | chicken | mushrooms | lentils | eggs | salmon | pumpkin | spinach | beans | noodles | chocolate",
    "city": "Athens | Cairo | Vienna | Tokyo | Madrid | Dublin | Sydney | Lima | Warsaw | Chicago | Naples | Oslo | Kyoto | Delhi | Boston | Prague | Toronto | Havana | Nairobi | Lyon",
    "sport": "tennis | hockey | rugby | swimming | golf | cycling | boxing | cricket | basketball | skiing | running | volleyball | karate | rowing | darts",
    "famous": "Mozart | Napoleon | Einstein | Cleopatra | Shakespeare | Picasso | Darwin | Gandhi | Newton | Bach | Columbus | Mandela | Galileo",
    "school": "history | biology | chemistry | geography | physics | Latin | algebra | grammar | French | art | philosophy",
    "pet": "dog | parrot | hamster | rabbit | pony | goldfish | kitten | turtle | canary | puppy",
    "body": "knee | neck | stomach | shoulder | tooth | foot | head | elbow | eyes | hand",
}  # fmt: skip
UNKNOWN = (
    "what {market} will be {future}", "whether {market} will {move} {future}", "how much {market} will {move}", "when {market} will {move}", "where {market} will stand {future}", "what {person} {did}", "how much {person} {owns}", "why {person} {did}",
    "whether {person} {did}", "what my {mine} is", "what my {mine} was {past}", "how much I {spent} {past}", "whether my {thing2} {arrived}", "when I {life}", "whether I {life}", "how {market} will look {future}", "what {rival} {plan}", "whether {rival} {plan}",
    "how many {crowd2} {plan}", "who {did2} {past}", "which {pick} will win {future}", "whether {bank2} will {move2}", "when {bank2} will {move2}", "what the bank {secret}", "whether the bank {secret}", "who {did2}",
)  # fmt: skip
UNKNOWN_SLOTS: dict[str, str] = {
    "market": "the price of silver | the franc | the yen | the pound | oil | rents | the stock index | house prices | wages | bond yields | the central bank rate | the price of wheat | savings rates | bitcoin | car prices | food prices | taxes | the share of a car maker | energy prices | unemployment | the oil price | exchange rates",
    "future": "in June | next spring | in two years | by 2035 | next month | at Easter | in ten years | next Friday | after the vote | in autumn | in 2060 | the day after tomorrow | when I retire",
    "move": "rise | fall | double | crash | recover | drop | climb | stay flat | sink | go up",
    "person": "my uncle | your manager | my tenant | the mayor | your richest customer | my ex wife | my colleague | your cashier | my daughter | the owner of the shop | my friend | the man at the desk | my landlord | the chairman",
    "did": "bought last week | earned this year | wrote about me | thinks of my plan | has in the account | paid for the car | will do | said at the meeting | spends a month | wants from me",
    "owns": "has in savings | earns | owes | pays in rent | inherited | gave away | keeps in cash | lost on shares",
    "mine": "account balance | card limit left | last payment | interest this year | number of logins | pending total | loan balance | credit rating | salary date | last withdrawal",
    "past": "yesterday | last week | in May | last year | this morning | on Sunday | in 2019 | last night | during my trip",
    "spent": "spent | paid in fees | saved | withdrew | received | lost | transferred",
    "thing2": "payment | salary | parcel | cheque | refund | transfer | rent | tax refund | card | letter",
    "arrived": "has arrived | was cashed | came through | was lost | reached my son | was seen by the shop owner | was opened",
    "life": "will be promoted | will get married | will win the lottery | will be able to retire | will find a flat | will own a house | will get a raise | will be out of debt | will fall ill | will inherit | will get the loan",
    "rival": "the other bank | a competitor | the savings bank next door | the ministry | the central bank | the city | the insurer",
    "plan": "will offer in spring | will close | will decide | will change next year | plan to build | will pay for staff | will announce | will merge | will cut",
    "crowd2": "people | clients | firms | shops | workers | savers",
    "did2": "sent me money | used my card | called me | opened my letter | looked at my file | won the draw | complained about me | moved the cash",
    "pick": "share | team | fund | party | currency | house | startup",
    "bank2": "the bank | the branch | your director | the board | my employer | the government",
    "move2": "close | be sold | cut jobs | raise salaries | change its name | move away | lose money | be bought | open on Sundays",
    "secret": "thinks of my chances | will pay its director | keeps in the vault tonight | knows about my boss | will do with my street | plans for my branch | has told my wife | lost in the robbery",
}  # fmt: skip
STAKES: dict[str, tuple[str, ...]] = {
    "personal-investment-advice": ("{buy} {asset}", "{buy} {asset} {now}", "{put} {cash} into {asset}", "{put} {cash} in {asset} {now}", "{put} {share} of {cash} into {asset}", "{sell} my {asset}", "{sell} my {asset} {now}", "swap {asset} for {asset}", "borrow to buy {asset}", "keep {asset} for {child}", "trust {asset} with {cash}", "move {cash} from {asset} to {asset}", "wait with {asset}"),
    "personal-tax-advice": ("{deduct} {cost}", "{deduct} {cost} this year", "{declare} {income}", "{declare} {income} in my tax return", "pay tax on {income}", "split {income} with {partner} for tax", "file {paper2}", "file {paper2} late", "count {cost} as a business cost", "move {income} into next year for tax", "appeal my tax bill", "form a company to save tax on {income}", "claim {cost} back from the tax office", "register {income} for tax"),
    "personal-legal-advice": ("{sue} {party}", "{sue} {party} over {matter}", "{sign} {deal}", "{sign} {deal} with {party}", "contest {matter}", "go to court over {matter}", "settle with {party}", "settle {matter} out of court", "divorce and keep {matter2}", "change {deal} for {child}", "leave {deal}", "break {deal}", "give up {matter2}", "declare bankruptcy over {matter}", "stand surety for {partner}", "plead guilty over {matter}", "answer the summons of {party}"),
}  # fmt: skip
STAKES_SLOTS: dict[str, str] = {
    "buy": "buy | hold | go for | choose | invest in | take | subscribe to",
    "put": "put | invest | place | move | shift",
    "sell": "sell | drop | keep | cash in | give up | exchange",
    "share": "a third | most | all | a quarter | a tenth | the rest",
    "cash": "my wages | my bonus | my severance pay | our house money | my grandmother's gift | my emergency fund | my lottery prize | the college fund | my salary | 20,000 euros | the sale of my car",
    "asset": "a hotel fund | mining shares | crypto coins | ether | government bonds | an index fund | farmland | art | whisky casks | a rental flat | tech shares | a savings bond | copper | a hedge fund | platinum | shares of a car maker | green bonds | a pension plan | foreign currency | a share tip | penny stocks | warrants | options",
    "now": "now | this year | before the election | at my age | on credit | for the long run | at today's price | after the fall",
    "child": "my daughter | my grandchild | my wife | my parents | my niece",
    "deduct": "deduct | write off | claim | set off | subtract",
    "declare": "declare | report | list | state | tax",
    "cost": "my home office | my commute | my laptop | my donations | my course fees | my doctor bills | my moving costs | my child care | my work clothes | my losses | my insurance | a business lunch | my solar panels",
    "income": "my side job | my lottery prize | my tips | my foreign pension | my share profits | my holiday flat | my crypto gains | a gift from my aunt | my book sales | my freelance work | my severance pay | cash work | an inheritance",
    "partner": "my wife | my partner | my brother | my cousin | my neighbour | my business partner",
    "paper2": "a joint return | my return alone | a corrected return | an objection | a late notice | a return abroad",
    "sue": "sue | report to court | take to court | press charges against",
    "party": "my employer | my doctor | the airline | my neighbour | the car dealer | my insurer | my tenant | the builder | a former friend | the school | my ex wife | the city",
    "matter": "unpaid wages | a dog bite | a broken roof | the noise | a car crash | my dismissal | custody | a fence | a refund | my share of the farm | a parking fine | the heating bill | an inheritance",
    "matter2": "the flat | the children | the pension rights | the dog | my claim | the farm | my share",
    "sign": "sign | accept | refuse | cancel | renew",
    "deal": "a prenuptial contract | my work contract | a lease | a settlement | the deed | a loan guarantee | a waiver | the franchise contract | a partnership contract | my testament | the sale contract",
}  # fmt: skip
# words that a near miss asks about -> what they mean
MEANINGS: dict[str, tuple[tuple[str, str], ...]] = {
    "personal-investment-advice": (
        ("a savings bond", "A savings bond is a loan to the state."), ("a stock index", "A stock index shows how a group of shares does."), ("volatility", "Volatility means how much a price goes up and down."), ("a broker", "A broker buys and sells for others."), ("a yield", "A yield is what an investment earns in a year."),
        ("a bear market", "A bear market is a time of falling prices."), ("capital", "Capital is money that is put to work."), ("compound interest", "Compound interest is interest paid on interest."), ("an annuity", "An annuity is a fixed sum paid each year."), ("a prospectus", "A prospectus is the paper that describes an investment."),
        ("liquidity", "Liquidity means how fast a thing can be turned into cash."), ("a hedge", "A hedge is something that lowers a risk."), ("a coupon", "A coupon is the interest of a bond."), ("a commodity", "A commodity is a raw good such as wheat or oil."), ("an exchange rate", "An exchange rate is the price of one money in another."),
        ("a recession", "A recession is a time when the economy shrinks."), ("a credit rating", "A credit rating says how likely a debt is paid back."), ("diversification", "Diversification means to spread money over many things."), ("a shareholder", "A shareholder is a person who owns shares."), ("a mortgage", "A mortgage is a loan for a house."),
    ),
    "personal-tax-advice": (
        ("value added tax", "Value added tax is a tax on what people buy."), ("a tax allowance", "A tax allowance is income that is not taxed."), ("a tax refund", "A tax refund is tax that is paid back."), ("a tax bracket", "A tax bracket is a step of income with its own rate."), ("property tax", "Property tax is a tax on land and houses."), ("customs duty", "Customs duty is a tax on goods from abroad."),
        ("a pay slip", "A pay slip shows wages and what was taken off."), ("gross pay", "Gross pay is pay before taxes."), ("net pay", "Net pay is pay after taxes."), ("an audit", "An audit is a check of the books."), ("church tax", "Church tax is a tax that goes to a church."), ("inheritance tax", "Inheritance tax is a tax on what one inherits."),
        ("a tax credit", "A tax credit is a sum taken off the tax."), ("road tax", "Road tax is a tax for using a car."), ("withholding tax", "Withholding tax is a tax taken off before money is paid out."), ("a sales tax", "A sales tax is a tax added to a price."), ("a levy", "A levy is a sum that must be paid to the state."),
    ),
    "personal-legal-advice": (
        ("a mediator", "A mediator helps two sides to agree."), ("a plaintiff", "A plaintiff is the person who brings a case to court."), ("a witness", "A witness is a person who tells a court what was seen."), ("custody", "Custody means the care of a child."), ("a clause", "A clause is one part of a contract."), ("a notice period", "A notice period is the time before a contract ends."),
        ("liability", "Liability means that one must pay for a damage."), ("a warranty", "A warranty is a promise that a thing works."), ("an oath", "An oath is a solemn promise to tell the truth."), ("probate", "Probate is the check of a last will by a court."), ("a jury", "A jury is a group of people who decide a case."), ("a fine", "A fine is money paid as a punishment."),
        ("an alimony", "An alimony is money paid after a divorce."), ("a tenant", "A tenant is a person who rents."), ("a landlord", "A landlord is a person who lets a flat."), ("a deed", "A deed is the paper that shows who owns land."), ("a creditor", "A creditor is a person to whom money is owed."), ("a patent", "A patent protects an invention."),
    ),
}  # fmt: skip
