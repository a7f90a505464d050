"""The words that the grammars share: persons, papers, money, places, time. One slot a name, alternatives apart by a bar."""

from __future__ import annotations

WORDS: dict[str, str] = {
    # persons
    "victim": "{relative} | {other} | {crowd}",
    "relative": "my mother | my grandfather | my sister | my son | my niece | my nephew | my stepfather | my wife | my husband | my boyfriend | my in-laws | my godmother | my twin | my ex",
    "other": "a neighbour | my boss | a colleague | my flatmate | a stranger | a clerk | a cashier | my landlady | a nurse | a priest | a shopkeeper | a taxi driver | a student | my doctor | a farmer | a waiter | a judge | a reporter | a customer | a cleaner | a guard | my teacher | my rival | my debtor | a tenant | a blind man | an old lady | a rich widow | a lonely man | a young mother",
    "crowd": "elderly people | foreigners | small shops | customers | students | parents | newcomers | sick people | hotel guests | online buyers | job hunters | farmers | members of my club | people in my street",
    "role": "a police officer | a tax inspector | a bank employee | a lawyer | a doctor | an engineer | a delivery man | a soldier | a minister | a nurse | the landlord | a lottery agent | the support team | a charity worker | a recruiter | a relative in need",
    "trusted": "my accountant | my wife | my husband | my lawyer | my adviser | my daughter | my brother | my carer | the tax office | my new bank | my doctor",
    # papers and data
    "paper": "a payslip | a passport | an invoice | a receipt | a contract | a signature | a bank statement | a cheque | a diploma | a birth certificate | a driving licence | a tax form | a visa | a pay record | a medical note | a reference letter | a lease | a title deed | a stamp | an identity card | a work permit | a police report | a balance sheet | a proof of address | a land register entry | a death certificate | a banknote",
    "private": "letters | messages | bank statements | photos | emails | diary | phone calls | browser history | medical file | salary slip | card payments | account balance | location | contacts | passwords | parcels | voice mail | savings",
    "identity": "passport | name | card | signature | bank card | login | phone number | tax number | licence | photo | account | date of birth",
    "device": "phone | laptop | mailbox | tablet | online account | banking app | computer | email account | social media page | cloud folder",
    "application": "a loan application | a mortgage form | a job application | an insurance form | a visa form | a benefit claim | a rental form | a credit card form | a grant application",
    "myfact": "my salary | my age | my debts | my job | my criminal record | my address | my illness | my marriage | my rent | my savings | my accidents | my education",
    # money and things
    "money": "cash | savings | a deposit | a pension | wages | a tip jar | donations | gold coins | gift cards | jewellery | rent money | the till money | a wallet | a purse | travel money | coins",
    "thing": "car | boat | flat | bicycle | farm | painting | camera | garden | tractor | laptop | ring | piano | shop",
    "property": "the car | the house | the shop | the bicycle | the garden | the office | the boat | the dog | the windows | the warehouse | the van | the fence",
    "place": "a petrol station | a jewellery shop | a post office | a supermarket | a branch | a museum | a pharmacy | a hotel | a money transport | a kiosk | a church | a school office",
    "day": "today | tomorrow | next week | this weekend | tonight | in summer | on Monday | before Christmas | after work | this month",
    # groups of people that must be treated alike
    "group": "women | old people | immigrants | Muslims | Jews | Christians | black people | gay people | blind people | deaf people | pregnant women | single mothers | refugees | poor families | people with an accent | people in wheelchairs | people over sixty | Asians | Roma families | trans people | people from Africa | mothers who work",
    "trait": "religion | skin colour | age | accent | gender | birthplace | disability | surname | family | faith | looks | politics",
    "service": "a loan | an account | a mortgage | a credit card | a job | a promotion | insurance | a flat | a rental contract | a raise | a savings plan | service at the desk | a training place | an interview",
}  # fmt: skip
