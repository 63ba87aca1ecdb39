// make bench-sdk: size and speed of the upload SDK. An argument picks one: size, transfer.
import { reporter } from './figures.mjs'
import { sizes } from './size.mjs'
import { transfers } from './transfer.mjs'

const report = reporter('sdk')
const wanted = process.argv[2]
if (!wanted || wanted === 'size') sizes(report)
if (!wanted || wanted === 'transfer') await transfers(report)
report.end()
